"""Several processes train one model: equal weights, the gradient of the whole batch, and no lost work."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import TINY, sets
from torch import Tensor

from pyrovae.training.processes import ALONE, Processes

pytestmark = pytest.mark.slow
ALONE_HERE = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def torchrun(script: str, folder: Path, processes: int = 2) -> str:
    """Runs a script on several processes, which end as `python -m pyrovae` does; one that hangs fails."""
    (folder / "script.py").write_text(f"{script}\nfrom pyrovae.__main__ import leave\nleave(0)\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = ALONE_HERE | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [*command, str(folder / "script.py"), str(folder)],
        capture_output=True, text=True, timeout=240, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


GRADIENTS = """
import sys
import pyro, torch
from compositions import build, data, objective_of
from pyrovae.baselines.greedy import Greedy
from pyrovae.baselines.minimax import Minimax
from pyrovae.training.engines import ENGINES
from pyrovae.training.processes import ALONE, joined

folder, rows, engine = sys.argv[1], {rows}, "{engine}"
with joined() as (group, _), pyro.get_param_store().scope():
    {system}
    made = ENGINES[engine](module, objective, lambda step: 0.0, processes=group)
    index = group.share(torch.arange(rows))
    losses = []
    for step in range(4):
        torch.manual_seed(100 * step + group.rank)
        losses.append(made.step(*(part[index] for part in batch)))
    found = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    if group.first:
        alone = ENGINES["eager"](module, objective, lambda step: 0.0, processes=ALONE)
        total, loss = [torch.zeros_like(p) for p in module.parameters()], 0.0
        objective.step = step
        for rank in range(group.count):
            own = torch.arange(rows)[rank :: group.count]
            if len(own):
                torch.manual_seed(100 * step + rank)
                loss += float(alone.gradients(*(part[own] for part in batch)))
                total = [t if p.grad is None else t + p.grad for t, p in zip(total, module.parameters())]
        torch.save({{"found": found, "wanted": total, "loss": losses[-1], "loss_wanted": loss}}, folder + "/result.pt")
"""


VAE = """module, objective = build("gaussian-mixture", labels="pools"), objective_of("{}")
    batch = data(rows=rows)"""
GAN = """from test_gan import grey, pictures
    module, objective, batch = pictures(), Minimax(), (grey().train.x[:rows],)"""
STACK = """from test_stacked import stacked, toy
    names = toy()
    module, objective = stacked(names), Greedy(3, 80, 40, pretrain=1)
    batch = names.batch(torch.arange(rows), targets=True)"""


@pytest.mark.parametrize(
    ("rows", "engine", "system"),
    [
        (12, "traced", VAE.format("elbo")),
        (7, "eager", VAE.format("iwae")),
        (1, "eager", VAE.format("elbo")),
        (12, "traced", GAN),
        (7, "eager", STACK),
    ],
    ids=["even", "uneven", "one", "gan", "stack"],
)
def test_gradients_are_those_of_one_process(rows: int, engine: str, system: str, tmp_path: Path) -> None:
    """The same data and noise, even and uneven shares, and none. Mutation: a mean over processes of their means."""
    torchrun(GRADIENTS.format(rows=rows, engine=engine, system=system), tmp_path)
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    assert result["loss"] == pytest.approx(result["loss_wanted"], rel=1e-5)
    assert len(result["found"]) == len(result["wanted"])
    for found, wanted in zip(result["found"], result["wanted"], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


FIT = """
import sys
import torch
from pathlib import Path
from compositions import Composition, build, objective_of, toy
from pyrovae import Checkpoints, fit
from pyrovae.training.processes import joined

folder = Path(sys.argv[1])
with joined() as (group, _):
    vae, data = build("vamp", seed=group.rank), toy()
    noise = []
    history = fit(
        vae, data, objective_of("elbo"), 0, None, Checkpoints(folder), epochs={epochs}, batch_size={batch},
        patience={patience}, ema={ema}, learning_rate=0.05,
    )
    torch.save({{"weights": vae.state_dict(), "epochs": len(history)}}, folder / f"rank-{{group.rank}}.pt")
"""


@pytest.mark.parametrize(
    ("batch", "patience", "ema"), [(8, None, None), (9, 2, 0.5), (28, None, None)], ids=["even", "uneven", "one"]
)
def test_weights_are_equal_on_every_process(
    batch: int, patience: int | None, ema: float | None, tmp_path: Path
) -> None:
    """28 rows: a last batch of 4, of 1 (one process has none), of 28. Mutation: every process stops by its own mind."""
    torchrun(FIT.format(epochs=20, batch=batch, patience=patience, ema=ema), tmp_path)
    one, other = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert one["epochs"] == other["epochs"]
    assert patience is None or one["epochs"] < 20
    for name, weight in one["weights"].items():
        assert torch.equal(weight, other["weights"][name]), name
    state = torch.load(sorted((tmp_path / "checkpoints").iterdir())[-1], weights_only=True)
    noise = [generators["cpu"] for generators in state["generators"]]
    assert len(noise) == 2
    assert not torch.equal(*noise)


# Faults


OPTIONS = sets({"train.epochs": 40, "prior.name": "gaussian-mixture", "objective.beta": 0.5})
FINGERPRINT = ("checkpoint.pt", "evaluation.json", "log_marginal.npy")


def command(folder: Path, name: str, *words: str) -> list[str]:
    where = ["--runs-dir", str(folder)]
    run = ["run", str(TINY), "--name", name, *OPTIONS] if not words else list(words)
    return [sys.executable, "-m", "pyrovae", "launch", "--processes", "2", *run, *where]


def finished(folder: Path, name: str) -> dict[str, bytes]:
    rows = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
    record = json.dumps([{key: value for key, value in row.items() if key != "seconds"} for row in rows])
    return {"metrics": record.encode()} | {file: (folder / name / file).read_bytes() for file in FINGERPRINT}


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def workers(name: str) -> list[int]:
    """Returns the numbers of the processes that train a run, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"pyrovae" in words and name.encode() in words and b"launch" not in words and b"--standalone" not in words:
            found.append(int(path.parent.name))
    return sorted(found)


def test_a_killed_process_and_an_ended_launch_lose_nothing(tmp_path: Path) -> None:
    """One launch in peace; one of which a process is killed, and starts again; one that is ended and resumed."""
    whole = subprocess.run(command(tmp_path, "whole"), env=ALONE_HERE, capture_output=True, timeout=240, check=True)
    assert b"iw50 log p(x)" in whole.stdout

    killed = subprocess.Popen(command(tmp_path, "killed"), env=ALONE_HERE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "killed/checkpoints/step-000000050.pt").exists())
    os.kill(workers("killed")[-1], signal.SIGKILL)
    _, errors = killed.communicate(timeout=240)
    assert killed.returncode == 0, errors[-3000:]
    assert re.search(r"resumed from step \d+ \(epoch \d+\)", errors)

    ended = subprocess.Popen(command(tmp_path, "ended"), env=ALONE_HERE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "ended/checkpoints/step-000000050.pt").exists())
    ended.terminate()
    _, errors = ended.communicate(timeout=120)
    assert ended.returncode == 143
    assert errors.count("interrupted at step") == 1
    assert f"pyrovae launch --processes 2 resume {tmp_path}/ended" in errors
    assert "Traceback" not in errors
    resumed = command(tmp_path, "ended", "resume", str(tmp_path / "ended"))
    subprocess.run(resumed, env=ALONE_HERE, capture_output=True, timeout=240, check=True)

    expected = finished(tmp_path, "whole")
    for name in ("killed", "ended"):
        found = finished(tmp_path, name)
        assert [key for key in expected if expected[key] != found[key]] == [], name


# Alone


def test_shares_are_the_batch() -> None:
    index = torch.randperm(11)
    for count in (1, 2, 3, 12):
        shares = [Processes(rank, count).share(index) for rank in range(count)]
        assert torch.cat(shares).sort().values.tolist() == list(range(11))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_has_nobody_to_ask() -> None:
    gradients = [torch.ones(2)]
    assert ALONE.sums(gradients, torch.tensor(3.0), 4) == (3.0, 4)
    assert ALONE.any(15) == 15
    assert ALONE.told({"a": 1}) == {"a": 1}
    assert isinstance(gradients[0], Tensor)
