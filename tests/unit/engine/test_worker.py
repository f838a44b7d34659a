"""A worker process that misbehaves costs one request, whatever it does; nothing of it is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from d2f.api.errors import D2FError, Exit
from d2f.cores import thread_variables
from d2f.engine.worker import Deaths, Worker, WorkerFailure, WorkerPool

TARGETS = "tests.unit.engine.worker_targets"
ROOT = Path(__file__).parents[3]
LONG = 60.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(f"{TARGETS}:make", {"answer": 42}) as made:
        yield made


def limited(**limits: Any) -> Worker:
    return Worker(f"{TARGETS}:make", **limits)


def failure(worker: Worker, *request: Any, **more: Any) -> WorkerFailure:
    with pytest.raises(WorkerFailure) as caught:
        worker.ask(request, **more)
    return caught.value


def until(condition: Callable[[], bool]) -> bool:
    """Wait for something that another process does."""
    end = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def children() -> set[int]:
    """Return this process's children, those that have ended and were not waited for included."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


class TestAnswers:
    def test_the_target_gets_its_arguments_and_requests(self, worker: Worker) -> None:
        assert worker.ask(("arguments",)) == {"answer": 42}
        assert worker.ask(("echo", [1, "two", None])) == [1, "two", None]

    def test_all_requests_go_to_one_process_of_its_own(self, worker: Worker) -> None:
        pids = {worker.ask(("pid",)) for _ in range(5)}
        assert pids == {worker.pid}
        assert os.getpid() not in pids

    def test_arrays_arrive_whole_and_read_only(self, worker: Worker) -> None:
        for shape in ((3, 5, 3), (0, 4), (700, 1000, 3), (2000, 3000, 3), (1, 1, 3)):
            pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
            assert worker.ask(("add", pixels)) == int(pixels.sum(dtype=np.int64))
            assert worker.ask(("look", pixels)) == (False, "uint8", shape)

    def test_arrays_in_any_memory_order_come_back(self, worker: Worker) -> None:
        base = np.arange(60, dtype=np.float64).reshape(5, 4, 3)
        for array in (base, base.T, base[::2, ::-1], np.asfortranarray(base)):
            np.testing.assert_array_equal(worker.ask(("echo", array)), array)

    def test_large_answers_come_back(self, worker: Worker) -> None:
        data = os.urandom(30_000_000)
        assert worker.ask(("echo", data)) == data

    def test_a_large_request_holds_no_memory_afterwards(self, worker: Worker) -> None:
        worker.ask(("look", np.zeros(200 * 2**20, np.uint8)))
        assert worker._memory.size == 0
        assert worker.ask(("look", np.zeros(10, np.uint8)))[2] == (10,)

    def test_threads_of_a_server_share_a_worker(self, worker: Worker) -> None:
        answers: dict[int, int] = {}

        def ask(number: int) -> None:
            for turn in range(20):
                answers[100 * number + turn] = worker.ask(("echo", 100 * number + turn))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
        assert len(answers) == 160
        assert all(key == value for key, value in answers.items())

    def test_a_worker_outlives_the_thread_that_started_it(self, worker: Worker) -> None:
        thread = threading.Thread(target=worker.start)
        thread.start()
        thread.join(LONG)
        pid = worker.pid
        time.sleep(0.2)
        assert worker.ask(("pid",)) == pid

    def test_threads_of_linear_algebra_are_set_before_anything_is_imported(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
        with limited(environment=thread_variables(3)) as worker:
            names = ("D2F_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
            assert [worker.ask(("environment", name)) for name in names] == ["3", "1", "5"]

    def test_standard_input_is_empty(self, worker: Worker) -> None:
        assert worker.ask(("input",)) == ""

    def test_what_cannot_be_pickled_never_leaves(self, worker: Worker) -> None:
        pid = worker.ask(("pid",))
        with pytest.raises((AttributeError, TypeError)):
            worker.ask(("echo", lambda: None))
        assert worker.ask(("pid",)) == pid

    def test_importing_the_module_imports_no_array_library(self) -> None:
        code = (
            "import sys, d2f; before = set(sys.modules); import d2f.engine.worker;"
            "print({'numpy', 'mlx', 'PIL', 'click', 'multiprocessing'} & (set(sys.modules) - before))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout == "set()\n"


class TestErrors:
    """What the target raises costs the request and not the process."""

    def test_problems_arrive_as_they_are(self, worker: Worker) -> None:
        with pytest.raises(D2FError) as caught:
            worker.ask(("problems",))
        assert not isinstance(caught.value, WorkerFailure)
        assert caught.value.exit == Exit.PLUGIN
        assert caught.value.problems[0].code == "D2F502"
        assert caught.value.problems[0].notes == ("fetch them",)

    @pytest.mark.parametrize(
        ("error", "code"), [("ValueError", "D2F414"), ("SystemExit", "D2F414"), ("MemoryError", "D2F412")]
    )
    def test_an_exception_has_a_code_and_its_traceback(self, worker: Worker, error: str, code: str) -> None:
        pid = worker.ask(("pid",))
        found = failure(worker, "fail", error)
        assert (found.code, found.message) == (code, f"the worker raised {error}: it is broken")
        assert "in fail" in found.output
        assert worker.ask(("pid",)) == pid
        assert worker.replaced == 0

    def test_an_answer_that_cannot_be_pickled(self, worker: Worker) -> None:
        assert failure(worker, "lambda").code == "D2F414"
        assert worker.ask(("echo", 1)) == 1

    def test_an_answer_that_cannot_be_read(self, worker: Worker) -> None:
        found = failure(worker, "strange")
        assert found.code == "D2F411"
        assert "made elsewhere" in found.message
        assert worker.ask(("echo", 1)) == 1


class TestDeaths:
    """The request under way gets a failure that says what happened, and the next one works."""

    @pytest.mark.parametrize(
        ("request_", "said"),
        [
            (("die", 3), "the worker process ended with exit code 3"),
            (("die", 0), "the worker process ended with exit code 0"),
            (("segfault",), "the worker process was ended by SIGSEGV"),
            (("kill", signal.SIGKILL), "the worker process was ended by SIGKILL"),
            (("kill", signal.SIGTERM), "the worker process was ended by SIGTERM"),
            (("fork_and_die",), "the worker process ended with exit code 5"),
        ],
    )
    def test_a_process_that_dies(self, worker: Worker, request_: tuple[Any, ...], said: str) -> None:
        before = worker.ask(("pid",))
        found = failure(worker, *request_)
        assert (found.code, found.message, found.exit) == ("D2F411", said, Exit.SOME_FAILED)
        after = worker.ask(("pid",))
        assert after not in (before, os.getpid())
        assert worker.replaced == 1
        assert is_gone(before)

    def test_a_segmentation_fault_says_where(self, worker: Worker) -> None:
        found = failure(worker, "segfault")
        assert "Segmentation fault" in found.output
        assert "string_at" in found.problems[0].notes[0]

    def test_no_core_file_is_left(self, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        failure(worker, "segfault")
        assert list(tmp_path.iterdir()) == []

    def test_killed_from_outside_while_it_works(self, worker: Worker) -> None:
        pid = worker.ask(("pid",))
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        found = failure(worker, "hang")
        assert found.message == "the worker process was ended by SIGKILL"
        assert worker.ask(("echo", 1)) == 1

    def test_killed_between_two_requests_costs_nothing(self, worker: Worker) -> None:
        pid = worker.ask(("pid",))
        os.kill(pid, signal.SIGKILL)
        # Ended for the kernel as well: its leading thread is a zombie before the others have gone.
        assert until(lambda: not worker._process[0].is_alive())
        assert worker.ask(("pid",)) != pid
        assert worker.deaths.switched_off == frozenset()

    def test_what_it_started_ends_with_it(self, worker: Worker, tmp_path: Path) -> None:
        started = worker.ask(("grandchild", str(tmp_path / "mark")))
        failure(worker, "die", 1)
        assert until(lambda: is_gone(started))

    def test_the_stage_that_was_running_is_named(self, worker: Worker) -> None:
        found = failure(worker, "stage", "detector 'nasty'", None, "die", 3)
        assert found.stage == "detector 'nasty'"
        assert found.message == "the worker process ended with exit code 3 during detector 'nasty'"
        assert failure(worker, "die", 3).stage == ""

    def test_three_deaths_switch_a_stage_off(self, worker: Worker) -> None:
        for _ in range(3):
            assert worker.deaths.switched_off == frozenset()
            failure(worker, "stage", "nasty", None, "die", 3)
            failure(worker, "fail", "ValueError")
        assert worker.deaths.switched_off == {"nasty"}
        assert worker.ask(("echo", 1)) == 1

    def test_three_deaths_of_the_target_itself_end_its_service(self, worker: Worker) -> None:
        for _ in range(3):
            assert failure(worker, "die", 3).code == "D2F411"
        found = failure(worker, "echo", 1)
        assert found.code == "D2F413"
        assert "switched off" in found.message
        assert worker.pid is None

    def test_workers_may_share_a_count(self) -> None:
        deaths = Deaths(2)
        with limited(deaths=deaths) as one, limited(deaths=deaths) as other:
            failure(one, "stage", "nasty", None, "die", 1)
            failure(other, "stage", "nasty", None, "die", 1)
        assert deaths.switched_off == {"nasty"}

    def test_what_is_long_ago_does_not_count(self) -> None:
        lasting, forgetful = Deaths(2), Deaths(2, forget_after=0.0)
        for deaths in (lasting, forgetful):
            deaths.add("nasty")
            deaths.add("nasty")
        assert lasting.switched_off == {"nasty"}
        assert forgetful.switched_off == frozenset()


class TestTime:
    def test_a_hang_ends_and_says_where(self) -> None:
        with limited(time_limit=0.5) as worker:
            found = failure(worker, "hang")
            assert (found.code, found.message) == ("D2F410", "the worker process took longer than 0.5 s")
            assert "in hang" in found.problems[0].notes[0]
            assert worker.ask(("sleep", 0.1)) == 0.1

    def test_a_request_may_have_a_limit_of_its_own(self, worker: Worker) -> None:
        assert failure(worker, "hang", time_limit=0.3).code == "D2F410"

    def test_a_hang_in_foreign_code_ends_too(self, tmp_path: Path) -> None:
        with limited(time_limit=0.5) as worker:
            found = failure(worker, "hang_with_the_interpreters_lock", str(tmp_path / "mark"))
            assert found.code == "D2F410"
            assert worker.ask(("echo", 1)) == 1

    def test_a_stage_has_a_limit_of_its_own(self, worker: Worker) -> None:
        found = failure(worker, "stage", "detector 'slow'", 0.5, "hang")
        assert (found.code, found.stage) == ("D2F410", "detector 'slow'")
        assert found.message == "detector 'slow' took longer than 0.5 s"

    def test_each_stage_has_the_whole_of_its_limit(self, worker: Worker) -> None:
        assert worker.ask(("two_stages", 2.0, 0.9)) == "done"

    def test_a_stopped_process_ends_too(self) -> None:
        with limited(time_limit=0.5) as worker:
            os.kill(worker.ask(("pid",)), signal.SIGSTOP)
            assert failure(worker, "echo", 1).code == "D2F410"
            assert worker.ask(("echo", 1)) == 1


class TestMemory:
    def test_a_process_that_grows_ends(self) -> None:
        with limited(memory_limit=300 * 2**20) as worker:
            found = failure(worker, "stage", "detector 'large'", None, "grow", 500)
            assert (found.code, found.stage) == ("D2F412", "detector 'large'")
            assert found.message == "the worker process used more than 300 MiB during detector 'large'"
            assert worker.ask(("echo", 1)) == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds what is mapped on Linux only")
    def test_a_claim_far_beyond_fails_at_once_and_costs_no_process(self) -> None:
        with limited(memory_limit=300 * 2**20) as worker:
            pid = worker.ask(("pid",))
            assert failure(worker, "claim", 2000).code == "D2F412"
            assert worker.ask(("pid",)) == pid

    def test_a_process_that_keeps_growing_is_replaced_after_an_answer_before_it_reaches_its_limit(self) -> None:
        with limited(memory_limit=600 * 2**20) as worker:
            pids = [worker.ask(("keep", 50)) for _ in range(20)]
            assert len(set(pids)) == worker.replaced + (worker.pid is not None) > 1
            assert worker.deaths.switched_off == frozenset()

    def test_a_process_that_needs_much_from_the_start_stays(self) -> None:
        with Worker(f"{TARGETS}:too_large", 250, memory_limit=300 * 2**20) as worker:
            assert len({worker.ask(("pid",)) for _ in range(5)}) == 1

    def test_pixels_given_do_not_count(self) -> None:
        with limited(memory_limit=120 * 2**20) as worker:
            pid = worker.ask(("pid",))
            assert worker.ask(("add", np.ones(200 * 2**20, np.uint8))) == 200 * 2**20
            assert worker.ask(("pid",)) == pid


class TestOutput:
    def test_nothing_reaches_the_parent(self, worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
        worker.ask(("speak", "LOUD"))
        failure(worker, "speak_and_die", "LOUD")
        worker.close()
        assert capfd.readouterr() == ("", "")

    def test_the_failure_holds_the_last_output(self, worker: Worker) -> None:
        found = failure(worker, "speak_and_die", "LOUD")
        for source in ("print", "fd 1", "fd 2", "printf", "a grandchild"):
            assert f"LOUD of {source}\n" in found.output
        assert found.problems[0].notes == ("its last output: LOUD of a grandchild",)

    def test_a_flood_is_bounded_and_stops_nobody(self, worker: Worker) -> None:
        assert worker.ask(("flood", 20)) == 20
        found = failure(worker, "die", 1)
        assert 0 < len(found.output) <= 4000


class TestStart:
    def test_a_target_that_raises(self) -> None:
        with Worker(f"{TARGETS}:raise_at_once") as worker:
            with pytest.raises(WorkerFailure, match="the worker raised ValueError: not to be had"):
                worker.start()
            assert worker.pid is None

    def test_a_target_that_does_not_exist(self) -> None:
        with (
            Worker("d2f.no_such_module:make") as worker,
            pytest.raises(WorkerFailure, match=r"No module named 'd2f\.no_such_module'"),
        ):
            worker.ask(1)

    def test_problems_of_the_target_arrive_as_they_are(self) -> None:
        with Worker(f"{TARGETS}:problem_at_once") as worker, pytest.raises(D2FError) as caught:
            worker.start()
        assert (caught.value.exit, type(caught.value)) == (Exit.PLUGIN, D2FError)

    def test_a_system_without_processes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        with limited() as worker:
            before = len(os.listdir("/proc/self/fd"))
            with monkeypatch.context() as without:
                without.setattr("d2f.engine.worker_process.subprocess.Popen", refuse)
                found = failure(worker, "echo", 1)
            assert (found.code, "Resource temporarily unavailable" in found.message) == ("D2F411", True)
            assert len(os.listdir("/proc/self/fd")) == before
            assert worker.ask(("echo", 1)) == 1

    @pytest.mark.parametrize("name", ["die_at_once", "die_loading", "raise_at_once"])
    def test_three_starts_that_fail_switch_it_off(self, name: str) -> None:
        with Worker(f"{TARGETS}:{name}") as worker:
            codes = [failure(worker, "echo").code for _ in range(4)]
        assert codes[:3] == ["D2F414" if name == "raise_at_once" else "D2F411"] * 3
        assert codes[3] == "D2F413"

    def test_a_start_that_hangs(self) -> None:
        with Worker(f"{TARGETS}:hang_at_once", start_limit=1.0) as worker:
            assert failure(worker, "echo").code == "D2F410"

    def test_a_start_that_takes_too_much_memory(self) -> None:
        with Worker(f"{TARGETS}:too_large", 300, memory_limit=250 * 2**20) as worker:
            assert failure(worker, "echo").code == "D2F412"


class TestEnd:
    def test_closed_is_closed(self, worker: Worker) -> None:
        pid = worker.ask(("pid",))
        worker.close()
        assert is_gone(pid)
        assert worker.pid is None
        assert failure(worker, "echo", 1).message == "the worker was closed"
        worker.close()
        assert worker.replaced == 0

    @pytest.mark.parametrize("way", ["close", "abort"])
    def test_a_request_under_way_is_given_up(self, worker: Worker, way: str) -> None:
        worker.start()
        threading.Timer(0.3, getattr(worker, way)).start()
        found = failure(worker, "hang")
        assert (found.code, found.message) == ("D2F411", "the request was given up")
        assert worker.deaths.switched_off == frozenset()
        if way == "abort":
            assert worker.ask(("echo", 1)) == 1

    def test_a_worker_that_nobody_closed_ends_with_its_object(self) -> None:
        worker = limited()
        pid = worker.ask(("pid",))
        del worker
        gc.collect()
        assert is_gone(pid)

    def test_an_interrupt_of_the_parent_is_raised_and_the_next_request_works(self, worker: Worker) -> None:
        worker.start()
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            worker.ask(("hang",))
        assert worker.ask(("echo", 1)) == 1

    def test_it_ignores_an_interrupt_itself(self, worker: Worker) -> None:
        assert worker.ask(("interrupted",)) == "still here"
        assert worker.ask(("signal",))

    def test_nothing_grows_over_a_thousand_requests(self, worker: Worker) -> None:
        pixels = np.zeros((300, 400, 3), np.uint8)
        worker.ask(("add", pixels))
        before = (len(os.listdir("/proc/self/fd")), worker.ask(("descriptors",)), sorted(os.listdir("/dev/shm")))
        for number in range(1000):
            assert worker.ask(("add", pixels[: number % 300])) == 0
        after = (len(os.listdir("/proc/self/fd")), worker.ask(("descriptors",)), sorted(os.listdir("/dev/shm")))
        assert after == before

    def test_nothing_grows_over_many_deaths(self) -> None:
        with limited(deaths=Deaths(100)) as worker:
            worker.ask(("echo", 1))
            before = len(os.listdir("/proc/self/fd")), len(children())
            for _ in range(10):
                failure(worker, "die", 1)
                worker.ask(("echo", np.zeros(3 * 2**20, np.uint8)))
            assert (len(os.listdir("/proc/self/fd")), len(children())) == before


PARENT = """
import sys, threading
sys.path.insert(0, {root!r})
from d2f.cores import thread_variables
from d2f.engine.worker import Worker
worker = Worker("{targets}:make")
print(worker.ask(("pid",)), flush=True)
{more}
"""


def parent(more: str) -> subprocess.Popen[str]:
    code = PARENT.format(root=str(ROOT), targets=TARGETS, more=more)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


class TestParent:
    """A worker never outlives its parent."""

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("work", ["sleep", "hang_alone", "hang_with_the_interpreters_lock", "grandchild"])
    def test_a_parent_that_is_killed(self, tmp_path: Path, number: int, work: str) -> None:
        shared, mark = sorted(os.listdir("/dev/shm")), tmp_path / "mark"
        if work == "sleep":
            more = f"open({str(mark)!r}, 'w').close(); import time; time.sleep(1000)"
        else:
            more = f"worker.ask(({work!r}, {str(mark)!r})); worker.ask(('sleep', 1000))"
        with parent(more) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            pid = int(running.stdout.readline())
            assert until(mark.exists)
            running.send_signal(number)
            assert running.wait(LONG) != 0
            assert until(lambda: is_gone(pid))
            assert running.stdout.read() == ""
            assert running.stderr.read().count("Traceback") == (number == signal.SIGINT)
        if work == "grandchild":
            assert until(lambda: is_gone(int(mark.read_text())))
        assert sorted(os.listdir("/dev/shm")) == shared

    @pytest.mark.parametrize(
        "more", ["", "worker.close()", "threading.Thread(target=worker.ask, args=[('echo', 1)]).start()"]
    )
    def test_a_parent_that_ends_says_nothing(self, more: str) -> None:
        with parent(more) as running:
            out, err = running.communicate(timeout=LONG)
        assert (running.returncode, err) == (0, "")
        assert until(lambda: is_gone(int(out)))

    def test_a_parent_without_standard_streams(self, tmp_path: Path) -> None:
        code = PARENT.format(root=str(ROOT), targets=TARGETS, more=f"open({str(tmp_path / 'mark')!r}, 'w').close()")
        script = 'exec "$0" -c "$1" 0<&- 1>&- 2>&-'
        code = code.replace("print(", "assert (").replace(", flush=True", "")
        subprocess.run(["sh", "-c", script, sys.executable, code], cwd=ROOT, timeout=LONG, check=True)
        assert (tmp_path / "mark").exists()

    def test_a_fork_of_the_parent_ends_nobody(self) -> None:
        more = "import os\nif os.fork() == 0: sys.exit()\nos.wait()\nprint(worker.ask(('pid',)))"
        with parent(more) as running:
            out, err = running.communicate(timeout=LONG)
        assert err == ""
        assert len(set(out.split())) == 1

    def test_a_terminals_interrupt_reaches_the_parent_only(self, tmp_path: Path) -> None:
        more = """
try:
    worker.ask(('sleep', 1000))
except KeyboardInterrupt:
    print(worker.ask(('echo', 'after')))
"""
        code = PARENT.format(root=str(ROOT), targets=TARGETS, more=more)
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
        ) as running:
            assert running.stdout is not None
            running.stdout.readline()
            time.sleep(0.5)
            os.killpg(running.pid, signal.SIGINT)
            assert running.communicate(timeout=LONG)[0] == "after\n"


class TestPool:
    def test_answers_come_in_order_whoever_is_first(self) -> None:
        with WorkerPool(3, f"{TARGETS}:make") as pool:
            seconds = [0.4, 0.0, 0.2, 0.0, 0.3, 0.0, 0.1]
            assert list(pool.map(("sleep", one) for one in seconds)) == seconds
            assert len({worker.pid for worker in pool.workers}) == 3

    def test_requests_are_taken_as_they_are_needed(self) -> None:
        taken = []

        def requests() -> Iterator[tuple[str, int]]:
            for number in range(50):
                taken.append(number)
                yield "echo", number

        with WorkerPool(2, f"{TARGETS}:make") as pool:
            for number, answer in enumerate(pool.map(requests(), ahead=4)):
                assert answer == number
                assert len(taken) <= number + 1 + 4

    def test_a_failure_stands_in_its_place(self) -> None:
        with WorkerPool(2, f"{TARGETS}:make", time_limit=1.0) as pool:
            requests = [("echo", 1), ("die", 3), ("echo", 2), ("hang",), ("fail", "ValueError"), ("echo", 3)]
            found = list(pool.map(requests))
            assert [one.code if isinstance(one, WorkerFailure) else one for one in found] == [
                1,
                "D2F411",
                2,
                "D2F410",
                "D2F414",
                3,
            ]

    def test_another_way_to_ask(self) -> None:
        def ask_twice(worker: Worker, request: Any) -> Any:
            return worker.ask(request), worker.ask(request)

        with WorkerPool(2, f"{TARGETS}:make") as pool:
            assert list(pool.map([("echo", 1), ("echo", 2)], ask_twice)) == [(1, 1), (2, 2)]

    def test_problems_are_raised_in_their_turn(self) -> None:
        with WorkerPool(2, f"{TARGETS}:make") as pool:
            answers = pool.map([("echo", 1), ("problems",), ("echo", 2)])
            assert next(answers) == 1
            with pytest.raises(D2FError, match="D2F502"):
                next(answers)

    def test_a_source_that_breaks_off_is_raised_after_what_it_gave(self) -> None:
        def requests() -> Iterator[tuple[str, int]]:
            yield "echo", 1
            yield "echo", 2
            raise OSError("the disk is gone")

        with WorkerPool(2, f"{TARGETS}:make") as pool:
            answers = pool.map(requests())
            assert [next(answers), next(answers)] == [1, 2]
            with pytest.raises(OSError, match="the disk is gone"):
                next(answers)

    def test_leaving_early_gives_up_what_is_under_way(self) -> None:
        with WorkerPool(2, f"{TARGETS}:make") as pool:
            answers = pool.map([("echo", 1), ("sleep", 1000), ("sleep", 1000), ("echo", 2)])
            assert next(answers) == 1
            answers.close()  # type: ignore[attr-defined]
            assert list(pool.map([("echo", 3), ("echo", 4)])) == [3, 4]
            assert pool.deaths.switched_off == frozenset()
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("d2f-worker")] == []

    def test_three_deaths_of_a_stage_anywhere_switch_it_off(self) -> None:
        with WorkerPool(3, f"{TARGETS}:make") as pool:
            list(pool.map([("stage", "nasty", None, "die", 1)] * 3))
            assert pool.deaths.switched_off == {"nasty"}
