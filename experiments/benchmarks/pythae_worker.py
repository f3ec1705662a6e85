"""pythae as a worker: an epoch of its trainer, and its estimate of log p(x), both as its users call them.

`dynamic` binarises in `__getitem__`, where a user of pythae does it, since its trainer takes one row at a time and
collates; `static` is its own data set of rows binarised beforehand, the least work that its trainer can have. Its
divergence is the closed form. The network and its weights are ours, in the modules that pythae asks for.
"""

import math
import tempfile
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn
from workers import serve

RATE = 1e-3
REACH = math.log(1e4)  # pyrovae bounds its scales: log scale = REACH tanh(raw / REACH)


def perceptron(*sizes: int) -> nn.Sequential:
    layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class Encoder(BaseEncoder):
    """Location and log variance; bounded as pyrovae's where the same weights are to give the same posterior."""

    def __init__(self, *sizes: int, bounded: bool) -> None:
        super().__init__()
        self.layers, self.bounded = perceptron(*sizes), bounded

    def forward(self, x: Tensor) -> ModelOutput:
        loc, raw = self.layers(x).chunk(2, -1)
        log_scale = REACH * torch.tanh(raw / REACH) if self.bounded else raw
        return ModelOutput(embedding=loc, log_covariance=2 * log_scale)


class Decoder(BaseDecoder):
    """Probabilities, as pythae's binary cross entropy wants them."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = perceptron(*sizes)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


class Drawn(torch.utils.data.Dataset):
    """Bytes that become zeros and ones at each visit."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> DatasetOutput:
        row = self.pixels[index]
        return DatasetOutput(data=(torch.randint(0, 255, row.shape, dtype=torch.uint8) < row).float())


def make_vae(config: dict[str, Any], pixels: int) -> VAE:
    hidden, latent = config["hidden"], config["latent"]
    settings = VAEConfig(input_dim=(pixels,), latent_dim=latent, reconstruction_loss="bce")
    encoder = Encoder(pixels, *hidden, 2 * latent, bounded="weights" in config)
    return VAE(settings, encoder, Decoder(latent, *reversed(hidden), pixels))


def make_epoch(config: dict[str, Any], data: Any, pixels: int) -> Callable[[], float]:
    settings = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(prefix="pythae-", dir=config["folder"]),
        per_device_train_batch_size=config["batch"],
        learning_rate=RATE,
        no_cuda=True,
    )
    trainer = BaseTrainer(make_vae(config, pixels), data, training_config=settings)
    trainer.prepare_training()

    def epoch() -> float:
        loss = trainer.train_step(epoch=1)
        trainer.callback_handler.on_epoch_end(training_config=settings)  # closes the bar that the step has opened
        return float(loss) * len(data)

    return epoch


def training(config: dict[str, Any]) -> dict[str, Callable[[], float]]:
    pixels = torch.from_numpy(np.load(config["pixels"]))
    static = (torch.randint(0, 255, pixels.shape, dtype=torch.uint8) < pixels).float()
    return {
        "dynamic": make_epoch(config, Drawn(pixels), pixels.shape[1]),
        "static": make_epoch(config, BaseDataset(static, torch.zeros(len(static))), pixels.shape[1]),
    }


def estimation(config: dict[str, Any]) -> dict[str, Callable[[], float]]:
    x = torch.from_numpy(np.load(config["x"]))
    vae = make_vae(config, x.shape[1])
    with np.load(config["weights"]) as weights:
        vae.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    vae.eval()

    @torch.no_grad()
    def estimate() -> float:
        return float(vae.get_nll(x, n_samples=config["particles"]))

    return {"estimate": estimate}


def prepare(config: dict[str, Any]) -> dict[str, Callable[[], float]]:
    torch.set_num_threads(config["threads"])
    return estimation(config) if "weights" in config else training(config)


if __name__ == "__main__":
    serve(prepare, ("pythae", "torch"))
