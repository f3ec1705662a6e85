"""Loggers: what reaches TensorBoard's files and W&B-compatible modules, and that nothing of theirs stops a run.

`tensorboard` belongs to the extra `test`: its files are read back, nothing here is skipped. wandb and trackio are
modules of our own that write down how they are called; only trainings that name them import the real ones.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from pyrovae.errors import PyrovaeError
from pyrovae.training import loggers
from pyrovae.training.loggers import LOGGERS, NEEDS, TRACKERS, Fanout, check_loggers, log_record, open_loggers

RECORD = {"epoch": 1, "step": 10, "rate": 2.5, "kl": [0.5, 2.0], "note": None}
NUMBERS = {"epoch": 1.0, "rate": 2.5, "kl/0": 0.5, "kl/1": 2.0}
GREY = np.arange(12, dtype="uint8").reshape(3, 4)
EVERY = pytest.mark.parametrize("name", LOGGERS)
BOTH = pytest.mark.parametrize("name", TRACKERS)
Calls = list[tuple[str, Any]]


class Recorder:
    """A logger that writes down its calls, or fails in one of them."""

    def __init__(self, fails: str = "", error: type[BaseException] = OSError) -> None:
        self.calls: Calls = []
        self.fails, self.error = fails, error

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.told("log", (step, numbers))

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self.told("image", (step, name, picture.shape))

    def close(self) -> None:
        self.told("close", None)

    def told(self, method: str, said: Any) -> None:
        self.calls.append((method, said))
        if method == self.fails:
            raise self.error("no space left\nat line 3")


def fake(patch: pytest.MonkeyPatch, name: str) -> tuple[ModuleType, Calls]:
    """Puts a module of the tracker's name in place; like Trackio it talks on stdout."""
    module, calls = ModuleType(name), []

    def told(method: str) -> Callable[..., None]:
        def call(*args: Any, **options: Any) -> None:
            print(f"{name} {method}")
            calls.append((method, (*args, options)))

        return call

    module.__dict__.update({method: told(method) for method in ("init", "log", "finish")}, Image=np.asarray)
    patch.setitem(sys.modules, name, module)
    return module, calls


def opened(patch: pytest.MonkeyPatch, **recorders: Recorder) -> Fanout:
    """Opens recorders in the place of loggers."""
    for name, recorder in recorders.items():
        patch.setitem(LOGGERS, name, lambda directory, configuration, step, recorder=recorder: recorder)
        patch.setitem(NEEDS, name, ("sys", ""))
    return open_loggers(recorders, Path(), {})


def scalars(directory: Path) -> dict[str, list[tuple[int, float]]]:
    events = read(directory)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read(directory: Path) -> EventAccumulator:
    return EventAccumulator(str(directory / "tensorboard"), size_guidance={"images": 0}).Reload()


# ------------------------------------------------------------------------------------------------- TensorBoard's files


def test_event_files_hold_the_record(tmp_path: Path) -> None:
    with open_loggers(["tensorboard"], tmp_path, {}) as log:
        log_record(log, RECORD)
        log_record(log, RECORD | {"step": 20, "rate": float("inf")})
    found = scalars(tmp_path)
    assert {tag: values[0] for tag, values in found.items()} == {tag: (10, value) for tag, value in NUMBERS.items()}
    assert found["rate"] == [(10, 2.5), (20, float("inf"))]


def test_numbers_are_on_disk_before_the_training_ends(tmp_path: Path) -> None:
    """Mutation: without `flush` the thread that writes is not waited for. What is killed has lost no epoch."""
    with open_loggers(["tensorboard"], tmp_path, {}) as log:
        log_record(log, RECORD)
        assert scalars(tmp_path)["rate"] == [(10, 2.5)]


@pytest.mark.parametrize("picture", [GREY, np.stack([GREY] * 3, -1)], ids=["grey", "colours"])
def test_event_files_hold_pictures(tmp_path: Path, picture: np.ndarray) -> None:
    with open_loggers(["tensorboard"], tmp_path, {}) as log:
        log.image(10, "samples", picture)
    (event,) = read(tmp_path).Images("samples")
    assert (event.step, event.height, event.width) == (10, 3, 4)
    assert (decoded(event.encoded_image_string) == GREY[..., None]).all()


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def test_a_resumed_training_shows_no_step_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first resumption starts anew, as from a run that ended before its first checkpoint.

    Mutations: no `purge_step`; none at step 0; `purge_step=step`, which hides the checkpoint's own step.
    """
    # Files of one second are read in the order of a count, as text: 10 before 9. Resumptions are seconds apart.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    for start, rate in ((0, 0.5), (0, 1.0), (20, 2.0)):
        with open_loggers(["tensorboard"], tmp_path, {}, start) as log:
            for step in (start + 10, start + 20, start + 30):
                log.log(step, {"rate": rate})
    assert scalars(tmp_path)["rate"] == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0)]


def test_logging_draws_no_random_numbers(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    with open_loggers(["tensorboard"], tmp_path, {}) as log:
        log_record(log, RECORD)
        log.image(10, "samples", GREY)
    assert torch.equal(torch.get_rng_state(), before)


# -------------------------------------------------------------------------------------------- W&B-compatible modules


@BOTH
def test_trackers_are_told_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _, calls = fake(monkeypatch, name)
    with open_loggers([name], tmp_path, {"seed": 3}) as log:
        log_record(log, RECORD)
        log.image(10, "samples", GREY)
    (start, (options,)), (first, (numbers, at)), (second, (pictures, also_at)), (end, _) = calls
    assert [start, first, second, end] == ["init", "log", "log", "finish"]
    assert (options["project"], options["config"], options["resume"]) == ("pyrovae", {"seed": 3}, "allow")
    assert options["name"].startswith(f"{tmp_path.name}-")
    assert (numbers, at, also_at) == (NUMBERS, {"step": 10}, {"step": 10})
    assert (pictures["samples"] == GREY).all()


def test_wandb_keeps_its_files_in_the_run_and_the_console_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, calls = fake(monkeypatch, "wandb")
    open_loggers(["wandb"], tmp_path, {})
    ((_, (options,)),) = calls
    assert (options["dir"], options["settings"]) == (str(tmp_path), {"console": "off"})


@BOTH
def test_a_resumed_run_goes_on_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Runs of one name in two folders are two: a tracker would join them."""
    _, calls = fake(monkeypatch, name)
    for folder, step in (("here", 0), ("here", 10), ("there", 0)):
        (tmp_path / folder / "run").mkdir(parents=True, exist_ok=True)
        open_loggers([name], tmp_path / folder / "run", {}, step)
    key = {"wandb": "id", "trackio": "name"}[name]  # what it resumes by
    first, again, other = (said[0][key] for _, said in calls)
    assert first == again != other


@BOTH
@pytest.mark.parametrize("stored", ["../../other", "0123abcd\n", "", "é"])
def test_an_identity_cannot_leave_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stored: str, name: str
) -> None:
    _, calls = fake(monkeypatch, name)
    (tmp_path / loggers.IDENTITY).write_bytes(stored.encode())
    open_loggers([name], tmp_path, {})
    assert not calls
    assert f"logger '{name}' failed and is dropped" in capsys.readouterr().err


@BOTH
def test_stdout_is_for_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fake(monkeypatch, name)
    with open_loggers([name], tmp_path, {}):
        pass
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{name} init\n{name} finish\n")


def test_no_other_module_is_imported(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="antigravity"):
        loggers.Tracker("antigravity", tmp_path, {})
    assert "antigravity" not in sys.modules


# -------------------------------------------------------------------------------------------- what may fail, and how


@pytest.mark.parametrize("method", ["log", "image", "close"])
def test_a_failing_logger_warns_once_and_is_dropped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    bad, good = Recorder(fails=method), Recorder()
    with opened(monkeypatch, bad=bad, good=good) as log:
        for step in (10, 20):
            log.log(step, NUMBERS)
            log.image(step, "samples", GREY)
    assert capsys.readouterr().err == "warning: logger 'bad' failed and is dropped: OSError: no space left\n"
    assert [said for said, _ in bad.calls].count(method) == 1
    assert [said for said, _ in good.calls] == ["log", "image", "log", "image", "close"]
    assert bad.calls[-1][0] == "close", "a dropped one is closed too"


def test_a_logger_that_fails_in_everything_warns_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Recorder()
    monkeypatch.setattr(bad, "told", lambda method, said: 1 / 0)
    with opened(monkeypatch, bad=bad) as log:
        log.log(10, NUMBERS)
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning == "warning: logger 'bad' failed and is dropped: ZeroDivisionError: division by zero"


@EVERY
def test_a_logger_that_does_not_open_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """No network and no login are no reason not to train."""
    monkeypatch.setitem(NEEDS, name, ("sys", ""))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if name == "tensorboard" else name, ModuleType("hollow"))
    with open_loggers([name], tmp_path, {}) as log:
        log_record(log, RECORD)
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: logger '{name}' failed and is dropped: ")


def test_event_files_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tensorboard").write_text("a file where a folder should be")
    open_loggers(["tensorboard"], tmp_path, {})
    assert "logger 'tensorboard' failed and is dropped: FileExistsError" in capsys.readouterr().err


# TensorBoard's thread prints the traceback of what it died of beside our one line, and pytest makes a warning of it. It
# is waited for: it may print after the test, where the warning is not expected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_event_files_that_are_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = set(threading.enumerate())
    with open_loggers(["tensorboard"], tmp_path, {}) as log:
        (tmp_path / "tensorboard").rename(tmp_path / "gone")  # at once: its thread may be writing the first file
        for step in range(100):  # more than its queue holds
            log.log(step, NUMBERS)
    for thread in set(threading.enumerate()) - running:
        thread.join()
    assert capsys.readouterr().err.count("warning: logger 'tensorboard' failed and is dropped: FileNotFoundError") == 1


@pytest.mark.parametrize("method", ["log", "image", "close"])
def test_interrupts_pass(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    log = opened(monkeypatch, bad=Recorder(fails=method, error=KeyboardInterrupt))
    said = {"log": (10, NUMBERS), "image": (10, "samples", GREY), "close": ()}[method]
    with pytest.raises(KeyboardInterrupt):
        getattr(log, method)(*said)


def test_loggers_are_closed_when_the_training_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    with pytest.raises(PyrovaeError, match="loss"), opened(monkeypatch, recorder=recorder):
        raise PyrovaeError("loss is nan")
    assert recorder.calls == [("close", None)]


def test_a_logger_named_twice_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, calls = fake(monkeypatch, "wandb")
    with open_loggers(["wandb", "wandb"], tmp_path, {}) as log:
        log.log(10, {})
    assert [said for said, _ in calls] == ["init", "log", "finish"]


# --------------------------------------------------------------------------------------- what is refused beforehand


def test_unknown_loggers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PyrovaeError, match="unknown logger 'tensorbord'") as caught:
        open_loggers(["tensorboard", "tensorbord"], tmp_path, {})
    assert (caught.value.hint, caught.value.exit_code) == ("did you mean 'tensorboard'?", 2)
    assert not list(tmp_path.iterdir())


@EVERY
def test_missing_packages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, name, None)  # what Python takes for "there is none"
    with pytest.raises(PyrovaeError, match=f"^logger '{name}' cannot be imported: ModuleNotFoundError: ") as caught:
        check_loggers([name])
    with pytest.raises(PyrovaeError):
        open_loggers([name], tmp_path, {})
    wanted = {"tensorboard": '"pyrovae[tensorboard]"'}.get(name, name)
    assert (caught.value.hint, caught.value.exit_code) == (f"pip install {wanted}", 1)
    assert not list(tmp_path.iterdir())


def test_every_logger_says_what_it_needs() -> None:
    assert LOGGERS.keys() == NEEDS.keys() == {"tensorboard", *TRACKERS}
