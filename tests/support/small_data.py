"""Small benchmark files in the layouts of the real ones: a series, spoken digits."""

import gzip
import io
import math
import wave
import zipfile

import torch
from support.random_models import generator


def ett(folder, rows=700):
    """Write seven daily rhythms in ETT's layout."""
    t = torch.arange(rows, dtype=torch.float64)[:, None]
    values = torch.sin(2 * math.pi * (t / 24 + torch.arange(7) / 7)) * torch.arange(1, 8) + 10
    values += 0.2 * torch.randn(rows, 7, generator=generator(), dtype=torch.float64)
    lines = [
        f"2016-07-01 {n % 24:02d}:00:00," + ",".join(f"{v:.4f}" for v in row) for n, row in enumerate(values.tolist())
    ]
    text = "\n".join(["date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT", *lines])
    (folder / "ETTh1.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return folder


SPLITS = {"train": (0, 400), "validation": (400, 550), "test": (550, 700)}


def wav(samples, rate=8000, channels=1, width=2):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(bytes(samples))
    return file.getvalue()


def digits(folder, per_digit=3):
    """Write tones in the dataset's layout: a higher digit is a higher tone."""
    for split, takes in (("train", range(per_digit)), ("test", range(per_digit, per_digit + 1))):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            for digit in range(10):
                for take in takes:
                    t = torch.arange(2400 + 160 * take) / 8000
                    tone = torch.sin(2 * math.pi * (200 + 330 * digit) * t) * 9000
                    archive.writestr(f"{digit}_ann_{take}.wav", wav(tone.short().numpy().tobytes()))
    return folder
