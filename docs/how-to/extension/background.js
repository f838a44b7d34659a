// Asks a d2f server about a picture: right click on it, "Was this picture generated?".
// Start the server with --allow-origin chrome-extension://ID, where ID is what chrome://extensions shows.

const SERVER = "http://127.0.0.1:8000";
const TOKEN = ""; // of the server, where it has one
const MOST_BYTES = 64 * 2 ** 20;

chrome.runtime.onInstalled.addListener(() => {
  chrome.contextMenus.create({id: "judge", title: "Was this picture generated?", contexts: ["image"]});
});

chrome.contextMenus.onClicked.addListener(async (info, tab) => {
  // The page's server is asked for the picture's own bytes, which needs the user's leave once for each site.
  const origin = new URL(info.srcUrl).origin;
  if (origin !== "null" && !await chrome.permissions.request({origins: [`${origin}/*`]})) return;
  show(tab.id, "d2f is looking at it …");
  show(tab.id, await judge(info.srcUrl));
});

// Returns the verdict in words, or why there is none.
async function judge(address) {
  try {
    const picture = await (await fetch(address)).blob();
    if (picture.size > MOST_BYTES) return "The picture is too large.";
    const headers = {"content-type": "application/octet-stream"};
    if (TOKEN) headers.authorization = `Bearer ${TOKEN}`;
    const name = encodeURIComponent(new URL(address).pathname.split("/").pop().slice(-100) || "picture");
    const answer = await fetch(`${SERVER}/v1/judge?words=1&name=${name}`, {method: "POST", body: picture, headers});
    const told = await answer.json();
    if (!told.rows || told.error) return `No verdict: ${told.error.message} (${told.error.code})`;
    const stated = told.rows[0].evidence.map(one => `The file states: ${one.statement} (${one.trust})`);
    return [told.words[0].sentence, ...stated, "A verdict is no proof."].join("\n");
  } catch (error) {
    return `No verdict: ${error.message}. Is the server running?`;
  }
}

function show(tabId, words) {
  chrome.scripting.executeScript({target: {tabId}, args: [words], func: shown => {
    let box = document.getElementById("d2f-verdict");
    if (!box) {
      box = document.createElement("dialog");
      box.id = "d2f-verdict";
      box.style.cssText = "position:fixed;white-space:pre-line;max-width:30rem;font:16px/1.5 system-ui;padding:1rem";
      box.addEventListener("click", () => box.close());
      document.body.append(box);
    }
    box.textContent = shown;
    if (!box.open) box.showModal();
  }});
}
