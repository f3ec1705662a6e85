"""Laws of sound: the transform and its inverse, phases, recordings read and written, and a run that is listened to."""

import json
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import Tensor

from pyrovae import storage
from pyrovae.data import DATA, Dataset
from pyrovae.data.apply import read_rows
from pyrovae.data.audio import read_recordings
from pyrovae.data.binarize import stream
from pyrovae.data.fourier import Fourier, convergence, griffin_lim
from pyrovae.data.spectrograms import SILENCE, Spectrograms
from pyrovae.errors import PyrovaeError
from pyrovae.experiment import describe
from tests.commands import TINY, refusal, succeeds

RATE = 8000
SMALL = {"mels": 8, "window": 64, "hop": 16, "seconds": 0.032}  # 256 samples, 17 columns


def sound(**changes: int) -> Spectrograms:
    return Spectrograms(**({"samples": 1280} | changes))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=stream(0, "noise"), dtype=torch.float64)


def tone(hertz: float, samples: int = 1280, rate: int = RATE) -> Tensor:
    return torch.sin(2 * torch.pi * hertz / rate * torch.arange(samples, dtype=torch.float64))


def speech(samples: int = 1280) -> Tensor:
    """Returns a rough vowel: harmonics of a falling pitch under an envelope."""
    time = torch.arange(samples, dtype=torch.float64) / RATE
    phase = 2 * torch.pi * (140 * time - 100 * time**2)
    wave = sum(torch.sin(k * phase) / (1 + ((k * 140 - 700) / 300) ** 2) for k in range(1, 25))
    assert isinstance(wave, Tensor)
    return wave * torch.hann_window(samples, dtype=torch.float64)


def wav(path: Path, wave: Any, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, np.asarray(wave))
    return path


def spoken(folder: Path, names: tuple[str, ...] = ("0_a", "0_b", "1_a", "1_b"), each: int = 6) -> Path:
    """Writes tiny recordings whose pitch is their class, each at a loudness of its own."""
    for name in names:
        for index in range(each):
            pitch = (1000 + 1500 * float(name[0])) * (1 + index / 40)
            wav(folder / f"{name}_{index}.wav", (tone(pitch, 200 + 20 * index) * (300 + 99 * index)).short())
    return folder


def refused(action: Callable[[], object]) -> PyrovaeError:
    """Returns the refusal, which must be one line and come with a hint of one line."""
    with pytest.raises(PyrovaeError) as caught:
        action()
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


# ------------------------------------------------------------------------------------------------ the transform


@pytest.mark.parametrize(("window", "hop", "samples"), [(64, 16, 640), (64, 32, 640), (50, 20, 333), (52, 17, 204)])
def test_spectra_give_the_wave_back(window: int, hop: int, samples: int) -> None:
    """Every sample is had back, those at the ends too, whatever the leading shape."""
    waves, fourier = noise(2, 3, samples), Fourier(window, hop)
    spectra = fourier.spectra(waves)
    assert spectra.shape == (2, 3, fourier.bins, 1 + samples // hop)
    torch.testing.assert_close(fourier.waves(spectra, samples), waves)
    torch.testing.assert_close(fourier.spectra(waves[1, 2]), spectra[1, 2])


def test_a_sine_of_amplitude_one_has_magnitude_one() -> None:
    spectra = Fourier(64, 16).spectra(tone(1000)).abs()
    torch.testing.assert_close(spectra[8, 4:-4], torch.ones(73, dtype=torch.float64))


@pytest.mark.parametrize(("window", "hop", "samples"), [(64, 16, 640), (50, 16, 640), (64, 32, 64)])
def test_phases_only_get_better(window: int, hop: int, samples: int) -> None:
    """Griffin and Lim's theorem, in the norm over all frequencies: the convergence never grows, at the ends neither."""
    fourier = Fourier(window, hop)
    for magnitude in (fourier.spectra(speech(samples)).abs(), noise(fourier.bins, 1 + samples // hop).abs()):
        waves = (griffin_lim(magnitude, fourier, samples, iterations=k) for k in range(25))
        found = torch.stack([convergence(magnitude, wave, fourier) for wave in waves])
        assert (found.diff() <= 1e-12).all()
        assert found[-1] < 0.99 * found[0]


def test_the_convergence_is_over_all_frequencies() -> None:
    """By hand, from transforms that list the negative frequencies as well."""
    for window in (8, 10):
        fourier, wave, other = Fourier(window, 2), noise(40), noise(2, 40)[1]
        hann = torch.hann_window(window, dtype=torch.float64)
        whole, whole_other = (
            torch.stft(w, window, 2, window=hann, pad_mode="constant", onesided=False, return_complex=True).abs()
            for w in (wave, other)
        )
        expected = (whole_other - whole).norm() / whole.norm()
        torch.testing.assert_close(convergence(fourier.spectra(wave).abs(), other, fourier), expected)


@pytest.mark.parametrize("wave", [tone(700), speech()])
def test_phases_are_found(wave: Tensor) -> None:
    fourier = Fourier(256, 64)
    magnitude = fourier.spectra(wave).abs()
    assert convergence(magnitude, griffin_lim(magnitude, fourier, 1280), fourier) < 0.06


def test_sounds_do_not_depend_on_their_neighbours() -> None:
    pictures = sound().pictures(torch.stack([tone(500), speech()]))
    both = sound().waves(pictures)
    torch.testing.assert_close(sound().waves(pictures[1:])[0], both[1])
    assert torch.equal(sound().waves(pictures), both)


# ------------------------------------------------------------------------------------------------- spectrograms


def test_bands_add_up_to_one() -> None:
    """Between the first and the last centre; outside they fall to nothing at 0 and at half the rate."""
    spectrograms = sound()
    bands, centres = spectrograms.bands(), spectrograms.centres()
    hertz = torch.arange(129) * 31.25
    inside = (hertz >= centres[1]) & (hertz <= centres[-2])
    torch.testing.assert_close(bands.sum(0)[inside], torch.ones(int(inside.sum()), dtype=torch.float64))
    assert (bands.sum(0)[~inside] < 1).all()
    assert (bands[:, [0, -1]] == 0).all()
    assert (bands >= 0).all()


def test_centres_are_mels() -> None:
    """1000 Hz are 1000 mel, near enough; ends are 0 and half the rate; distances grow."""
    centres = sound(mels=20).centres()
    assert (centres[0], round(centres[-1].item(), 6)) == (0, 4000)
    assert (centres.diff().diff() > 0).all()
    mel = 2595 * np.log10(1 + centres.numpy() / 700)
    np.testing.assert_allclose(np.diff(mel), mel[-1] / 21)
    assert abs(2595 * np.log10(1 + 1000 / 700) - 1000) < 0.1


@pytest.mark.parametrize("band", [5, 12, 19])
def test_a_tone_peaks_in_its_band(band: int) -> None:
    """The highest band is the top row."""
    spectrograms = sound(mels=20)
    picture = spectrograms.pictures(tone(spectrograms.centres()[band + 1].item())[None])[0, 0]
    assert (picture[:, 3:-3].argmax(0) == 19 - band).all()


def test_decibels_are_what_they_say() -> None:
    """Ten times the amplitude is 20 dB more, silence is -60 dB, and values have two decimals."""
    spectrograms = sound()
    quiet, loud = spectrograms.pictures(torch.stack([speech() / 10, speech()]))
    heard = quiet > -10
    torch.testing.assert_close((loud - quiet)[heard], torch.full_like(quiet[heard], 20), atol=0.1, rtol=0)
    assert (spectrograms.pictures(torch.zeros(1, 1280)) == SILENCE).all()
    assert torch.equal((loud.double() * 100).round() / 100, loud.double().round(decimals=2))
    torch.testing.assert_close(loud.double(), loud.double().round(decimals=2), atol=1e-5, rtol=0)
    assert spectrograms.event_shape == loud.shape == (1, 40, 17)


def test_a_picture_is_its_formula() -> None:
    """20 log10(B |F w| + 0.001), for sounds as quiet as the 0.001 too."""
    spectrograms, waves = sound(), torch.stack([speech() / 1000, noise(1280)])
    heard = spectrograms.bands() @ spectrograms.fourier.spectra(waves).abs()
    expected = (20 * (heard + 0.001).log10()).flip(1)[:, None]
    torch.testing.assert_close(spectrograms.pictures(waves).double(), expected, atol=0.0051, rtol=0)


def test_many_sounds_are_transformed_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waves = noise(5, 1280) / 5
    whole = sound().pictures(waves)
    monkeypatch.setattr("pyrovae.data.spectrograms.CHUNK", 2)
    torch.testing.assert_close(sound().pictures(waves), whole, atol=0.011, rtol=0)
    assert sound().waves(whole).shape == (5, 1280)


def test_magnitudes_have_the_bands_of_the_picture() -> None:
    """The inverse of the bands is not negative and has the bands that it was made from, silence too."""
    spectrograms = sound()
    picture = spectrograms.pictures(torch.stack([speech(), torch.zeros(1280)])).double()
    magnitude = spectrograms.magnitudes(picture)
    assert (magnitude >= 0).all()
    assert (magnitude[1] == 0).all()
    bands = spectrograms.bands() @ magnitude[0]
    heard = spectrograms.bands() @ spectrograms.fourier.spectra(speech()).abs()
    assert (bands - heard).norm() / heard.norm() < 0.02


def test_a_picture_becomes_the_sound_that_it_shows() -> None:
    """In both senses: the sound's own picture is this one, and its loudest frequency is the tone's."""
    spectrograms = sound()
    wave = spectrograms.waves(spectrograms.pictures(torch.stack([speech(), tone(1500)])).double())
    back = spectrograms.pictures(wave)
    assert (back[0] - spectrograms.pictures(speech()[None])[0]).square().mean().sqrt() < 1.5
    assert abs(torch.fft.rfft(wave[1]).abs().argmax() * RATE / 1280 - 1500) < 32
    assert torch.equal(spectrograms.waves(torch.full((1, 1, 40, 17), SILENCE - 5)), torch.zeros(1, 1280))


BAD_TRANSFORMS: dict[str, tuple[dict[str, int], str]] = {
    "odd": ({"window": 255}, "data.window = 255 is odd"),
    "gaps": ({"hop": 129}, "data.hop = 129 is more than half of data.window = 256"),
    "short": ({"samples": 200}, "200 samples of each sound are fewer than data.window = 256"),
    "empty band": ({"mels": 90}, "band 0 holds no frequency of a window of 256"),
}


@pytest.mark.parametrize("case", BAD_TRANSFORMS)
def test_transforms_that_cannot_be_are_refused(case: str) -> None:
    options, message = BAD_TRANSFORMS[case]
    error = refused(lambda: sound(**options))
    assert message in str(error)
    assert error.exit_code == 2


# --------------------------------------------------------------------------------------------------- recordings


def read(path: Path, samples: int = 256) -> Tensor:
    return read_recordings([path], Spectrograms(samples=samples, mels=8, window=64, hop=16))[0]


def test_sounds_are_cut_and_padded_at_their_end(tmp_path: Path) -> None:
    wave = (noise(300) * 3000).round().short()
    whole = wave.double() / wave.double().abs().max()
    path = wav(tmp_path / "x.wav", wave)
    assert torch.equal(read(path), whole[:256].float())
    longer = read(path, 320)
    assert torch.equal(longer[:300], whole.float())
    assert (longer[300:] == 0).all()


FORMATS: dict[str, Callable[[Tensor], Any]] = {
    "int16": lambda x: (x * 2**14).short(),
    "int32": lambda x: (x * 2**30).int(),
    "uint8": lambda x: (x * 100 + 128).round().byte(),
    "float32": lambda x: x.float() * 3,
    "float64": lambda x: x,
}


def with_24_bits(path: Path, wave: Tensor) -> Path:
    samples = (wave * 2**22).int().numpy().view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 3 * RATE, 3, 24)
    body = b"WAVEfmt " + form + b"data" + struct.pack("<I", len(samples)) + samples
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@pytest.mark.parametrize("kind", [*FORMATS, "int24"])
def test_all_formats_sound_alike(tmp_path: Path, kind: str) -> None:
    """Loudness, the number of bits and where zero is are the file's."""
    wave = tone(700, 256)
    path = tmp_path / "x.wav"
    path = with_24_bits(path, wave) if kind == "int24" else wav(path, FORMATS[kind](wave))
    heard = read(path)
    assert heard.abs().max() == 1
    torch.testing.assert_close(heard.double(), wave / wave.abs().max(), atol=0.012 if kind == "uint8" else 1e-4, rtol=0)


def test_what_a_file_holds_beside_its_sound_is_passed_over(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", (tone(700, 256) * 9999).short())
    title = b"junk" + struct.pack("<I", 4) + b"abcd"
    raw = path.read_bytes()
    (tmp_path / "y.wav").write_bytes(raw[:12] + title + raw[12:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read(tmp_path / "y.wav"), read(path))


def test_sixteen_bits_are_written_to_the_last(tmp_path: Path) -> None:
    numbers = np.arange(-(2**15), 2**15, 7)
    storage.write_sound(tmp_path / "x.wav", RATE, numbers / 2**15)
    rate, back = wavfile.read(tmp_path / "x.wav")
    assert (rate, back.dtype) == (RATE, np.int16)
    assert np.array_equal(back, numbers)
    storage.write_sound(tmp_path / "loud.wav", RATE, np.array([-2.0, -1.0, 1.0, 2.0]))
    assert wavfile.read(tmp_path / "loud.wav")[1].tolist() == [-(2**15), -(2**15), 2**15 - 1, 2**15 - 1]


# --------------------------------------------------------------------------------------------------- the data set


def test_a_folder_becomes_standard_pictures(tmp_path: Path) -> None:
    """One mean and one deviation of all training values; decibels come back to the last bit of float32."""
    data = DATA["audio"](path=str(spoken(tmp_path)), **SMALL)
    assert (data.event_shape, data.support, data.classes) == ((1, 8, 17), "real", ("0", "1"))
    assert [len(split) for split in data] == [20, 2, 2]
    assert data.units is not None
    assert data.units.loc.shape == ()
    assert abs(data.train.x.mean()) < 1e-3
    assert abs(data.train.x.std() - 1) < 1e-3
    assert data.sound == Spectrograms(samples=256, mels=8, window=64, hop=16)
    decibels = data.units.to_user(data.train.x.double())
    torch.testing.assert_close(decibels, decibels.round(decimals=2), atol=1e-4, rtol=0)
    assert decibels.min() >= SILENCE - 1e-4
    high = decibels[data.train.y == 1][:, 0, :4].mean() - decibels[data.train.y == 0][:, 0, :4].mean()
    assert high > 10, "class 1 is the higher tone, whose bands are on top"


def test_the_published_split_is_that_of_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = spoken(tmp_path / "free-spoken-digit-dataset" / "recordings", each=12)
    data = DATA["audio"](tmp_path, validation=3, **SMALL)
    assert [len(split) for split in data] == [25, 3, 20]
    assert data.name == "free-spoken-digit-dataset"
    expected = sorted(path for path in folder.iterdir() if int(path.stem.split("_")[2]) < 5)
    x, _ = read_rows(expected[7], like(data))
    assert torch.equal(data.test.x[7], x[0])
    assert data.test.y is not None
    assert data.test.y.tolist() == [int(path.name[0]) for path in expected]
    monkeypatch.setenv("PYROVAE_DATA", str(tmp_path))
    assert DATA["audio"](validation=3, **SMALL).hashes() == data.hashes()
    assert [len(split) for split in DATA["audio"](test=4, validation=3, **SMALL)] == [41, 3, 4]


def test_the_published_set_is_asked_for_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYROVAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    error = refused(lambda: DATA["audio"](tmp_path / "none"))
    assert "no folder free-spoken-digit-dataset/recordings in" in str(error)
    assert "Jakobovski/free-spoken-digit-dataset" in error.hint
    assert "CC BY-SA 4.0" in error.hint
    spoken(tmp_path / "free-spoken-digit-dataset" / "recordings", each=5)
    assert "20 of 20 recordings are numbered below 5" in str(refused(lambda: DATA["audio"](tmp_path, **SMALL)))


def test_classes_are_sub_folders_prefixes_or_nothing(tmp_path: Path) -> None:
    spoken(tmp_path / "flat")
    for path in (tmp_path / "flat").iterdir():
        wav(tmp_path / "deep" / f"kind {path.name[0]}" / path.name.replace("_", "-"), wavfile.read(path)[1])
    flat, deep = (
        DATA["audio"](path=str(tmp_path / name), labels=labels, **SMALL)
        for name, labels in (("flat", "prefix"), ("deep", "folder"))
    )
    assert deep.classes == ("kind 0", "kind 1")
    assert flat.hashes() == deep.hashes(), "hashes are of pictures and numbers of classes"
    none = DATA["audio"](path=str(tmp_path / "flat"), labels="none", **SMALL)
    assert (none.classes, none.train.y) == ((), None)
    assert torch.equal(none.train.x, flat.train.x)


def spoil(folder: Path, content: bytes) -> None:
    (folder / "zz_0.wav").write_bytes(content)


def header(folder: Path, at: int, form: str, value: int) -> None:
    raw = bytearray((folder / "0_a_1.wav").read_bytes())
    struct.pack_into(form, raw, at, value)
    spoil(folder, bytes(raw))


def add(folder: Path, wave: Any, rate: int = RATE) -> None:
    wav(folder / "zz_0.wav", wave, rate)


BAD: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "empty": (lambda p: spoil(p, b""), {}, "recording zz_0.wav cannot be read"),
    "text": (lambda p: spoil(p, b"no sound at all"), {}, "recording zz_0.wav cannot be read (File format b'no s'"),
    "cut": (lambda p: spoil(p, (p / "0_a_1.wav").read_bytes()[:-100]), {}, "zz_0.wav cannot be read (Reached EOF"),
    "cut oddly": (lambda p: spoil(p, (p / "0_a_1.wav").read_bytes()[:-101]), {}, "zz_0.wav cannot be read"),
    "cut header": (lambda p: spoil(p, (p / "0_a_1.wav").read_bytes()[:30]), {}, "zz_0.wav cannot be read"),
    "packed": (
        lambda p: header(p, 20, "<H", 0x55),
        {},
        "zz_0.wav cannot be read (Unknown wave file format: MPEGLAYER3",
    ),
    "stereo": (lambda p: add(p, np.ones((300, 2), np.int16)), {}, "recording zz_0.wav has 2 channels, not 1"),
    "rate": (lambda p: add(p, tone(1).float(), 16000), {}, "zz_0.wav has 16000 samples a second, not 8000"),
    "nothing": (lambda p: add(p, np.zeros(0, np.int16)), {}, "recording zz_0.wav has 0 samples, fewer than a window"),
    "short": (lambda p: add(p, tone(1, 63).float()), {}, "zz_0.wav has 63 samples, fewer than a window of 64"),
    "silent": (lambda p: add(p, np.zeros(300, np.int16)), {}, "recording zz_0.wav is silent"),
    "silent bytes": (lambda p: add(p, np.full(300, 128, np.uint8)), {}, "recording zz_0.wav is silent"),
    "constant": (lambda p: add(p, np.full(300, 7, np.int16)), {}, "recording zz_0.wav is silent"),
    "nan": (lambda p: add(p, np.full(300, np.nan)), {}, "recording zz_0.wav holds values that are not finite"),
    "mp3": (lambda p: (p / "zz.mp3").touch(), {}, "recording zz.mp3 cannot be read here"),
    "no class": (lambda p: wav(p / "zz.wav", tone(9).float()), {}, "recording zz.wav names no class before a '_'"),
    "mixed": (
        lambda p: wav(p / "deep" / "a.wav", tone(9).float()),
        {},
        "holds both recordings (0_a_0.wav) and folders",
    ),
    "layout": (lambda p: None, {"labels": "folder"}, "holds its recordings in the folder itself, which data.labels"),
    "hop": (lambda p: None, {"hop": 33}, "data.hop = 33 is more than half"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_recordings_are_named(tmp_path: Path, case: str) -> None:
    action, options, message = BAD[case]
    action(spoken(tmp_path))
    assert message in str(refused(lambda: DATA["audio"](path=str(tmp_path), **(SMALL | options))))


def test_bad_folders_are_named(tmp_path: Path) -> None:
    assert "no data folder" in str(refused(lambda: DATA["audio"](tmp_path, path="none")))
    assert "holds no recordings" in str(refused(lambda: DATA["audio"](path=str(tmp_path))))
    wav(tmp_path / "a" / "0.wav", tone(9).float())
    error = refused(lambda: DATA["audio"](path=str(tmp_path), **SMALL))
    assert error.hint == 'data.labels = "folder"'


# ------------------------------------------------------------------------------------------------ a run of sounds


def like(data: Dataset) -> dict[str, Any]:
    """What a run says of its data, as it comes back from JSON."""
    described: dict[str, Any] = json.loads(json.dumps(describe(data)))
    return described


def test_files_are_read_as_the_data_of_the_run_were(tmp_path: Path) -> None:
    """A recording, a folder of them, and decibels as they are written; labels as they are laid out."""
    folder = spoken(tmp_path)
    data = DATA["audio"](path=str(folder), validation=1, test=1, **SMALL)
    x, y = read_rows(folder, like(data))
    everything = torch.cat([split.x for split in data]).flatten(1).tolist()
    assert sorted(x.flatten(1).tolist()) == sorted(everything)
    assert y is not None
    assert y.tolist() == [0] * 12 + [1] * 12
    one, none = read_rows(folder / "0_b_2.wav", like(data))
    assert (none, one.shape) == (None, (1, 1, 8, 17))
    assert torch.equal(one[0], x[8])
    assert data.units is not None
    np.save(tmp_path / "x.npy", data.units.to_user(x).numpy())
    torch.testing.assert_close(read_rows(tmp_path / "x.npy", like(data))[0], x, atol=1e-6, rtol=0)
    wav(folder / "fast.wav", tone(9).float(), 9000)
    assert "fast.wav has 9000 samples a second" in str(refused(lambda: read_rows(folder / "fast.wav", like(data))))


def test_a_folder_of_sounds_is_known_by_what_it_holds(tmp_path: Path) -> None:
    options = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    assert "event shape   (1, 8, 17)" in succeeds("data", "info", spoken(tmp_path), *options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a run of sounds whose recordings are gone, and one of pictures."""
    folder = tmp_path_factory.mktemp("runs")
    named = [f"data.{key}={value}" for key, value in SMALL.items()]
    chosen = ["data.name=audio", f"data.path={spoken(folder / 'voices')}", "likelihood.name=gaussian", *named]
    chosen += ["prior.name=gaussian-mixture", "train.batch_size=10", "data.test=4", "evaluation.data=4"]
    options = [part for option in chosen for part in ("--set", option)]
    succeeds("run", TINY, "--runs-dir", folder, "--name", "sounds", *options)
    succeeds("run", TINY, "--runs-dir", folder, "--name", "pictures")
    (folder / "voices").rename(folder / "away")
    return folder


def heard(path: Path) -> np.ndarray:
    rate, wave = wavfile.read(path)
    assert (rate, wave.dtype) == (RATE, np.int16)
    return np.asarray(wave).reshape(-1, 256 + 1600)  # the pause is 0.2 s


def test_a_run_is_listened_to_without_its_data(runs: Path, tmp_path: Path) -> None:
    """Samples, reconstructions and ways between two are sounds with pauses; the same seed sounds the same."""
    run = runs / "sounds"
    for name in ("a", "b"):
        succeeds("sample", run, "--class", 1, "--count", 3, "-o", tmp_path / f"{name}.wav")
    waves = heard(tmp_path / "a.wav")
    assert waves.shape == (3, 1856)
    assert (waves[:, 256:] == 0).all()
    assert (abs(waves[:, :256]).max(1) > 0).all()
    assert np.array_equal(heard(tmp_path / "b.wav"), waves)
    files = [runs / "away" / name for name in ("0_a_0.wav", "1_b_3.wav")]
    succeeds("reconstruct", run, "--data", files[0], "-o", tmp_path / "new" / "c.wav")
    assert len(heard(tmp_path / "new" / "c.wav")) == 1
    succeeds("interpolate", run, *files, "--steps", 4, "-o", tmp_path / "d.wav")
    assert len(heard(tmp_path / "d.wav")) == 4
    succeeds("traverse", run, "--data", files[1], "-o", tmp_path / "e.wav")
    assert len(heard(tmp_path / "e.wav")) == 4 * 9


def test_a_sound_is_that_of_the_mean_in_decibels(runs: Path, tmp_path: Path) -> None:
    """What is heard is what `--mean` writes as numbers."""
    succeeds("sample", runs / "sounds", "--count", 2, "-o", tmp_path / "x.wav")
    succeeds("sample", runs / "sounds", "--count", 2, "--mean", "-o", tmp_path / "x.npy")
    spectrograms = Spectrograms(samples=256, mels=8, window=64, hop=16)
    waves = spectrograms.waves(torch.from_numpy(np.load(tmp_path / "x.npy"))).numpy()
    waves /= np.maximum(1, abs(waves).max(1, keepdims=True))
    assert abs(heard(tmp_path / "x.wav")[:, :256] - waves * 2**15).max() <= 1


def test_pictures_are_not_heard(runs: Path, tmp_path: Path) -> None:
    for command in (("sample",), ("reconstruct",)):
        message = refusal(*command, runs / "pictures", "-o", tmp_path / "x.wav", code=2)
        assert "cannot write 'x.wav'" in message
        assert ".png or .npy or .csv" in message
    assert ".csv or .wav" in refusal("sample", runs / "sounds", "-o", tmp_path / "x.mp3", code=2)
