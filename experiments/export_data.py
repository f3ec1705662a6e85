"""Writes real data as people bring them, to try `csv` and `folder` on: no download, both come with scikit-learn.

python experiments/export_data.py cancer.csv     # 569 tumours, 30 measurements and a diagnosis (Wolberg, 1995)
python experiments/export_data.py digits/        # 1,797 pictures of handwritten digits, a sub-folder each class
"""

import csv
from pathlib import Path

import click
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits


def write_csv(path: Path) -> int:
    """Writes one row a tumour: its measurements by name, then `diagnosis` in words."""
    data = load_breast_cancer()
    rows = [[*x.tolist(), data.target_names[y]] for x, y in zip(data.data, data.target, strict=True)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*data.feature_names, "diagnosis"], *rows])
    return len(rows)


def write_folder(folder: Path) -> int:
    """Writes one grey PNG a digit, 8 x 8 pixels of 17 levels stretched to bytes."""
    data = load_digits()
    for number, (image, label) in enumerate(zip(data.images, data.target, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).round().astype("uint8")).save(folder / str(label) / f"{number:04}.png")
    return len(data.target)


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
def main(target: Path) -> None:
    """Write TARGET, a .csv file or a folder, which must not exist."""
    if target.exists():
        raise click.ClickException(f"{target} exists")
    count = write_csv(target) if target.suffix == ".csv" else write_folder(target)
    click.echo(f"wrote {count} rows to {target}" if target.suffix == ".csv" else f"wrote {count} pictures to {target}")


if __name__ == "__main__":
    main()
