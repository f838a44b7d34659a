// The page of `d2f serve`: pictures are sent one by one, verdicts are shown as they come, history stays in the browser.

const AT_ONCE = 3;
const KEPT = 100;
const HISTORY = "d2f.history";
const VERDICTS = {generated: "AI-generated", real: "no sign of generation", inconclusive: "inconclusive"};
const PROBLEMS = {
  D2F305: "too large",
  D2F306: "too many pixels",
  D2F704: "too large",
};

const $ = id => document.getElementById(id);
const pictures = [];
let chain = null;
let gone = false;

class Gone extends Error {}

// ---- asking the server

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Gone();
  }
  if (answer.status === 401) location.assign("/signin");
  return answer;
}

async function meetServer() {
  try {
    const answer = await ask("/v1/chain");
    if (!answer.ok) throw new Gone();
    chain = await answer.json();
  } catch {
    return false;
  }
  $("chain").textContent = `Chain ${chain.name}: ${chain.description} d2f ${chain.version}, digest ${chain.digest.slice(0, 12)}.`;
  $("legend").replaceChildren(...chain.legend.map(line => element("li", line)));
  $("read").hidden = false;
  return true;
}

async function waitForServer() {
  if (gone) return;
  gone = true;
  say("The server does not answer. Pictures wait here and are sent when it does.");
  while (!await meetServer()) await rest(1000);
  gone = false;
  say("The server answers again.");
  sendNext();
}

// ---- pictures

function add(files) {
  for (const file of files) {
    const picture = {file, name: file.name || "pasted picture", state: "waiting", tries: 0};
    picture.card = makeCard(picture);
    pictures.push(picture);
    $("pictures").prepend(picture.card);
    const most = chain?.limits.file_bytes;
    if (most && file.size > most) {
      fail(picture, `too large: ${megabytes(file.size)}, and this server takes ${megabytes(most)}`);
    } else {
      show(picture, "busy", "waiting");
    }
  }
  sendNext();
}

function sendNext() {
  const busy = pictures.filter(one => one.state === "sent").length;
  for (const picture of pictures.filter(one => one.state === "waiting").slice(0, AT_ONCE - busy)) send(picture);
}

async function send(picture) {
  picture.state = "sent";
  show(picture, "busy", "being judged");
  try {
    const answer = await ask(`/v1/judge?words=1&name=${encodeURIComponent(picture.name)}`, {
      method: "POST",
      body: picture.file,
      headers: {"content-type": "application/octet-stream"},
    });
    if (answer.status === 429 || answer.status === 503) return await later(picture, answer);
    const told = await answer.json();
    if (told.rows && !told.rows[0].error) judged(picture, told.rows[0], told.words[0]);
    else {
      fail(picture, problem(told.error), answer.status >= 500);
      if (told.rows?.[0].evidence.length) showFile(picture, told.rows[0], told.words[0]);
    }
  } catch (error) {
    if (!(error instanceof Gone)) {
      fail(picture, "the server's answer is not understood", true);
    } else {
      picture.state = "waiting";
      show(picture, "busy", "waiting for the server");
      waitForServer();
      return;
    }
  }
  sendNext();
}

async function later(picture, answer) {
  if (++picture.tries > 30) {
    fail(picture, "the server has no room for it now", true);
    return;
  }
  show(picture, "busy", "waiting: the server is busy");
  await rest(1000 * (Number(answer.headers.get("retry-after")) || 1));
  picture.state = "waiting";
  sendNext();
}

function problem(error) {
  const short = PROBLEMS[error.code];
  return short ? `${short}: ${error.message}` : `${error.message} (${error.code})`;
}

function judged(picture, row, words) {
  picture.state = "judged";
  picture.row = row;
  show(picture, row.verdict, VERDICTS[row.verdict], words.sentence.replace(/^[^;:]*[;:] /, ""));
  drawScale(picture, row.probability);
  showFile(picture, row, words);
  part(picture, ".map").hidden = part(picture, ".report").hidden = false;
  remember(picture.name, row, words.sentence);
  say(`${picture.name}: ${words.sentence}`);
}

function showFile(picture, row, words) {
  const stated = row.evidence.map(one => `${one.statement} (${one.source}; ${one.trust})`);
  part(picture, ".file-head").hidden = false;
  part(picture, ".file").replaceChildren(
    ...(stated.length ? stated : ["nothing about its origin that this chain reads; most files state nothing"])
      .map(line => element("li", line)));
  part(picture, ".reasons").replaceChildren(...words.reasons.map(line => element("li", line)));
  part(picture, ".why").hidden = !words.reasons.length;
}

function fail(picture, why, again = false) {
  picture.state = "failed";
  show(picture, "error", "not judged", why);
  part(picture, ".again").hidden = !again;
  say(`${picture.name}: not judged, ${why}`);
}

// ---- what is seen

function makeCard(picture) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  card.querySelector(".name").textContent = picture.name;
  const image = card.querySelector("img");
  picture.url = URL.createObjectURL(picture.file);
  image.addEventListener("error", () => card.querySelector(".thumbnail").classList.add("none"));
  image.src = picture.url;
  const remove = card.querySelector(".remove");
  remove.setAttribute("aria-label", `Remove ${picture.name}`);
  remove.addEventListener("click", () => {
    URL.revokeObjectURL(picture.url);
    pictures.splice(pictures.indexOf(picture), 1);
    const next = card.nextElementSibling ?? card.previousElementSibling;
    card.remove();
    (next?.querySelector(".remove") ?? $("files")).focus();
  });
  card.querySelector(".map").addEventListener("click", () => showWhere(picture));
  card.querySelector(".report").addEventListener("click", () => saveReport(picture));
  card.querySelector(".again").addEventListener("click", () => {
    Object.assign(picture, {state: "waiting", tries: 0});
    part(picture, ".again").hidden = true;
    show(picture, "busy", "waiting");
    sendNext();
  });
  return card;
}

function part(picture, selector) {
  return picture.card.querySelector(selector);
}

function show(picture, verdict, word, sentence = "") {
  picture.card.dataset.verdict = verdict;
  part(picture, ".verdict strong").textContent = word;
  part(picture, ".sentence").textContent = sentence;
}

function drawScale(picture, probability) {
  const scale = part(picture, ".scale");
  scale.hidden = probability === null;
  if (probability === null) return;
  scale.querySelector("b").style.left = `${100 * probability}%`;
  scale.querySelector(".low").style.left = `${100 * chain.real_below}%`;
  scale.querySelector(".high").style.left = `${100 * chain.generated_above}%`;
  scale.setAttribute("aria-label", `probability of being AI-generated ${Math.round(100 * probability)} %, ` +
    `thresholds ${Math.round(100 * chain.real_below)} % and ${Math.round(100 * chain.generated_above)} %`);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function say(words) {
  $("status").textContent = words;
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function rest(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}

// ---- why: maps, views, the report

async function explain(picture, maps = "auto") {
  if (picture.explanation && maps === "auto") return picture.explanation;
  const buttons = picture.card.querySelectorAll(".actions button");
  buttons.forEach(one => { one.disabled = true; });
  say(`${picture.name}: being explained, which takes some seconds`);
  try {
    const answer = await ask(`/v1/judge?explain=1&maps=${maps}&name=${encodeURIComponent(picture.name)}`, {
      method: "POST",
      body: picture.file,
      headers: {"content-type": "application/octet-stream"},
    });
    const told = await answer.json();
    const found = told.explanations?.[0];
    if (!found || found.error) {
      say(`${picture.name}: not explained, ${(found ?? told).error.message}`);
      return null;
    }
    say(`${picture.name}: explained`);
    picture.explanation = found;
    return found;
  } catch {
    say("The server does not answer. Try again when it does.");
    waitForServer();
    return null;
  } finally {
    buttons.forEach(one => { one.disabled = false; });
  }
}

async function showWhere(picture, maps = "auto") {
  const found = await explain(picture, maps);
  if (!found) return;
  const shown = [
    ...found.maps.map(one => ({title: `Map: ${one.title}`, image: one.image, lines: one.lines})),
    ...found.views.map(one => ({title: `View ${one.name}: ${one.words}`, image: one.image, lines: []})),
  ];
  $("closer-name").textContent = picture.name;
  $("below").src = picture.url;
  $("which").replaceChildren(...shown.map(one => element("option", one.title)));
  const draw = () => {
    const one = shown[$("which").selectedIndex];
    $("stack").hidden = !one;
    $("above").src = one?.image ?? "";
    const lines = found.maps.length ? one.lines : [found.no_map, ...one?.lines ?? []];
    $("lines").replaceChildren(...lines.map(line => element("li", line)));
  };
  $("which").onchange = draw;
  $("measure").hidden = found.maps.length > 0;
  $("measure").onclick = async () => {
    $("measure").disabled = true;
    $("lines").replaceChildren(element("li", "The map is being measured …"));
    await showWhere(picture, "both");
    $("measure").disabled = false;
  };
  draw();
  fade();
  if (!$("closer").open) $("closer").showModal();
}

function fade() {
  $("above").style.opacity = $("opacity").value / 100;
}

async function saveReport(picture) {
  const found = await explain(picture);
  if (!found) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([found.report], {type: "text/html"}));
  link.download = `${picture.name}.report.html`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// ---- history, in this browser only

function past() {
  try {
    return JSON.parse(localStorage.getItem(HISTORY)) ?? [];
  } catch {
    return [];
  }
}

function remember(name, row, sentence) {
  const kept = [{name, sentence, sha256: row.sha256, chain: row.chain, digest: row.chain_digest, when: Date.now()},
    ...past().filter(one => one.sha256 !== row.sha256 || one.digest !== row.chain_digest)].slice(0, KEPT);
  try {
    localStorage.setItem(HISTORY, JSON.stringify(kept));
  } catch { /* a private window: nothing is kept */ }
  showPast();
}

function showPast() {
  const kept = past();
  $("past").hidden = !kept.length;
  $("history").replaceChildren(...kept.map(one =>
    element("li", `${new Date(one.when).toLocaleString()}, ${one.name}: ${one.sentence} (chain ${one.chain})`)));
}

// ---- how pictures come in

$("files").addEventListener("change", event => {
  add(event.target.files);
  event.target.value = "";
});
$("forget").addEventListener("click", () => {
  localStorage.removeItem(HISTORY);
  showPast();
  $("files").focus();
});
$("opacity").addEventListener("input", fade);
document.addEventListener("dragover", event => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", event => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", event => {
  event.preventDefault();
  $("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
document.addEventListener("paste", event => add(event.clipboardData.files));

showPast();
if (!await meetServer()) waitForServer();
sendNext();
