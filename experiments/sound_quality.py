"""What of a sound is lost where: by the phases, by the bands, by the code. Of recordings, by a trained run.

    python experiments/sound_quality.py runs/spoken-digits RECORDINGS

Each sound is had back from its own magnitudes, from its spectrogram, and from the VAE's reconstruction of it. Said are
the spectral convergence, the distance of the magnitudes over their norm (0 is best, 1 is silence), with its standard
error over data, and the distance of the spectrograms, in decibels (root mean square over all data).
"""

from pathlib import Path

import click
import torch
from torch import Tensor

from pyrovae import trained
from pyrovae.data.audio import list_recordings, read_recordings
from pyrovae.data.fourier import convergence, griffin_lim
from pyrovae.errors import PyrovaeError


def say(name: str, waves: Tensor, wanted: Tensor, sound: trained.Spectrograms) -> None:
    """Prints how far sounds are from those that were wanted, and their spectrograms from those of these."""
    found = convergence(sound.fourier.spectra(wanted).abs(), waves, sound.fourier)
    decibels = (sound.pictures(waves) - sound.pictures(wanted)).square().mean().sqrt()
    error = found.std() / len(found) ** 0.5
    click.echo(f"{name}: spectral convergence {found.mean():.3f} ± {error:.3f}, {decibels:.1f} dB ({len(found)} data)")


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("recordings", type=click.Path(path_type=Path))
@torch.no_grad()
def main(*, run: Path, recordings: Path) -> None:
    opened = trained.open_run(run)
    if opened.sound is None or opened.units is None:
        raise PyrovaeError(f"{run} is no run of sounds")
    sound, files = opened.sound, list_recordings(recordings)[0]
    waves = read_recordings(files, sound)
    pictures = sound.pictures(waves)
    back = opened.units.to_user(opened.vae.reconstruct(opened.units.to_model(pictures)))
    magnitudes = sound.fourier.spectra(waves).abs()
    say("from its own magnitudes", griffin_lim(magnitudes, sound.fourier, sound.samples), waves, sound)
    say("from its spectrogram", sound.waves(pictures), waves, sound)
    say("from its reconstruction", sound.waves(back), waves, sound)


if __name__ == "__main__":
    main()
