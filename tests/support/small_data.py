"""Small benchmark files in the layouts of the real ones: a series, spoken digits, questions, sentences of several languages."""

import csv
import gzip
import io
import json
import math
import wave
import zipfile
from datetime import datetime, timedelta

import torch
from support.random_models import generator
from support.small_picture_models import THINGS


def ett(folder, rows=700):
    """Write seven daily rhythms in ETT's layout."""
    t = torch.arange(rows, dtype=torch.float64)[:, None]
    values = torch.sin(2 * math.pi * (t / 24 + torch.arange(7) / 7)) * torch.arange(1, 8) + 10
    values += 0.2 * torch.randn(rows, 7, generator=generator(), dtype=torch.float64)
    lines = [
        f"{datetime(2016, 7, 1) + timedelta(hours=n)}," + ",".join(f"{v:.4f}" for v in row)
        for n, row in enumerate(values.tolist())
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


def things(folder, each=3):
    """Write pictures in the layout of CIFAR-10's files: stripes, closer together for a later class."""
    from PIL import Image

    for split, count in (("train", each), ("test", 1)):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            for place, name in enumerate(THINGS):
                for number in range(count):
                    across = torch.arange(32) * (0.2 + 0.2 * place) + number
                    grey = (127 + 100 * torch.sin(across)).to(torch.uint8).expand(32, 32)
                    file = io.BytesIO()
                    Image.fromarray(torch.stack([grey, grey.T, grey], 2).contiguous().numpy()).save(file, "PNG")
                    archive.writestr(f"{name}/{number:04d}.png", file.getvalue())
    return folder


def smears(folder, each=3):
    """Write blood smears in the layout of BCCD: a large and a small disc on grey ground, and a tiny one in every other."""
    from PIL import Image

    across, down = torch.meshgrid(torch.arange(200), torch.arange(192), indexing="xy")
    with (
        zipfile.ZipFile(folder / "images.zip", "w") as images,
        zipfile.ZipFile(folder / "annotations.zip", "w") as annotations,
    ):
        for place, split in enumerate(("train", "val", "test")):
            names = [f"BloodImage_{10 * place + number:05d}" for number in range(each)]
            (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
            for number, name in enumerate(names):
                pixels = torch.full((192, 200, 3), 210, dtype=torch.uint8)
                cells = [("WBC", 70, 70, 40, (90, 60, 150)), ("RBC", 150, 60, 20, (220, 120, 120))]
                cells += [("Platelets", 40 + 9 * number, 160, 9, (130, 90, 170))] if number % 2 == 0 else []
                written = ""
                for kind, x, y, radius, colour in cells:
                    pixels[(across - x) ** 2 + (down - y) ** 2 < radius**2] = torch.tensor(colour, dtype=torch.uint8)
                    edges = (x - radius, y - radius, x + radius, y + radius)
                    box = "".join(
                        f"<{e}>{v}</{e}>" for e, v in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
                    )
                    written += f"<object><name>{kind}</name><bndbox>{box}</bndbox></object>"
                file = io.BytesIO()
                Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=95)
                images.writestr(f"{name}.jpg", file.getvalue())
                annotations.writestr(f"{name}.xml", f"<annotation>{written}</annotation>")
    return folder


def streets(folder, each=2, size=(36, 48)):
    """Write frames in the layout of CamVid's: sky over a building over road, and a car at the right of the road."""
    from PIL import Image

    height, width = size
    with zipfile.ZipFile(folder / "camvid_mini.zip", "w") as archive:
        for split, count in (("train", each), ("val", each), ("test", 1)):
            for number in range(count):
                classes = torch.full(size, 1)
                classes[: height // 3], classes[2 * height // 3 :] = 0, 3
                classes[2 * height // 3 :, 2 * width // 3 :] = 8
                classes[: height // 3, : width // 3] = 11
                classes[height // 3 : height // 2, : width // 3] = 5
                grey = (20 * classes + number + torch.arange(width) % 5).to(torch.uint8)
                pictures = {split: torch.stack([grey, 255 - grey, grey], 2), f"{split}annot": classes.to(torch.uint8)}
                for folded, pixels in pictures.items():
                    file = io.BytesIO()
                    Image.fromarray(pixels.contiguous().numpy()).save(file, "PNG")
                    archive.writestr(f"{folded}/{number:04d}.png", file.getvalue())
    return folder


def receipts(folder, count=60, pictures=False):
    """Write receipts in the layout of SROIE's files: a shop, its street, items, and a total at the right of its word."""
    with zipfile.ZipFile(folder / "box_and_key.zip", "w") as archive:
        for number in range(count):
            value = f"{1 + number}.{number % 10}0"
            lines = [
                ("SHOP NUMBER {} SDN BHD".format("ABCDEFGHIJ"[number % 10]), 20, 10, 80, 14),
                (f"NO {number}, JALAN LONG {number % 7}", 20, 16, 80, 20),
                (f"DATE: {1 + number % 28:02d}/03/2018 10:{number % 60:02d}", 5, 30, 50, 34),
                ("TEA, HOT", 5, 44, 40, 48),
                ("0.50", 80, 44, 95, 48),
                ("TOTAL", 5, 60, 30, 64),
                (value, 80, 60, 95, 64),
                ("CHANGE 0.00", 5, 70, 95, 74),
                ("THANK YOU", 30, 90, 70, 94),
            ]
            rows = [
                f"{left},{top},{right},{top},{right},{bottom},{left},{bottom},{text}"
                for text, left, top, right, bottom in lines
            ]
            archive.writestr(f"data/box/{number:03d}.csv", "\n".join(rows) + "\n")
            key = {"company": lines[0][0], "date": lines[2][0][6:16], "address": lines[1][0], "total": value}
            archive.writestr(f"data/key/{number:03d}.json", json.dumps(key))
            if pictures:
                from PIL import Image

                file = io.BytesIO()
                Image.new("RGB", (100, 100), (250, 240, 230)).save(file, "PNG")
                archive.writestr(f"data/img/{number:03d}.png", file.getvalue())
    return folder


def answer_sentences(folder):
    """Write questions in the layout of TREC's answer sentences: one without a wrong sentence, one with very many."""
    rows = [("what barks?", 1, "the dog barks"), ("what barks?", 0, "a cat sleeps"), ("what barks?", 1, "a dog")]
    rows += [("who sleeps?", 0, "the dog"), ("who sleeps?", 1, "a cat that sleeps"), ("what?", 1, "the cat")]
    rows += [("what sleeps?", int(number < 3), "cat " * (number + 1)) for number in range(40)]
    for split in ("dev", "test"):
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("qtext", "label", "atext"), *rows])
    return folder


def voices(folder, people=20, each=6):
    """Write Parkinson's telemonitoring in its own layout: a person has one grade and one offset of all measures."""
    from agents.models.fusion.voice import CONFIG, PERSON, UPDRS

    drawn = generator()
    rows = []
    for person in range(1, people + 1):
        grade = person % 4
        offset = torch.randn(len(CONFIG.columns), generator=drawn)
        for _ in range(each):
            values = offset + 0.8 * grade + 0.1 * torch.randn(len(CONFIG.columns), generator=drawn)
            rows.append([person, 16 + 8 * grade, *(f"{value:.5f}" for value in values.tolist())])
    with (folder / "parkinsons_updrs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([(PERSON, UPDRS, *CONFIG.columns), *rows])
    return folder


def reviews(folder):
    """Write sentences in the layout of GLUE's SST-2, with the label first."""
    lines = {
        "dev": ("1\tb a d e .", "0\tc c a , b", "1\td e a"),
        "train": [f"{n % 2}\t{'a b' if n % 2 else 'c d'} e {'x' * n} ." for n in range(1, 13)],
    }
    for name, rows in lines.items():
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress("\n".join(["label\tsentence", *rows]).encode(), mtime=0))
    return folder


FILM_WORDS = ("the", "film", "was", "very", "good", "and", "long", "its", "end", "sad")


def film_reviews(folder):
    """Write sentences of six to eight words, each twice or more in training, in the layout of GLUE's SST-2."""
    turned = [FILM_WORDS[n:] + FILM_WORDS[:n] for n in range(len(FILM_WORDS))]
    lines = {"dev": [" ".join(words[:6]) for words in turned], "train": [" ".join(words[:8]) for words in turned] * 2}
    for name, texts in lines.items():
        rows = [f"{number % 2}\t{text} ." for number, text in enumerate(texts)]
        (folder / f"{name}.tsv").write_text("\n".join(["label\tsentence", *rows]) + "\n")
    return folder


def trec(folder):
    """Write questions in the layout of nltk_data's qc.zip."""
    kinds = {"HUM:ind": "Who is he ?", "LOC:city": "Where is it ?", "NUM:date": "When was it ?", "ABBR:exp": "What is NASA ?",
             "DESC:def": "What is a dog ?", "ENTY:food": "Which food is it ?"}  # fmt: skip
    lines = [f"{kind} {text} {word}" for word in ("yes", "Yes", "no") for kind, text in kinds.items()] * 40
    with zipfile.ZipFile(folder / "qc.zip", "w") as archive:
        archive.writestr("qc/train.txt", "\n".join(lines))
        archive.writestr("qc/test.txt", "\n".join(lines[:12]))
    return folder


def tatoeba(folder):
    """Write numbered sentences in three languages and two scripts, each with its English."""
    words = {
        "rus": ("CYRILLIC", "кот собака дом сад лес"),
        "bel": ("CYRILLIC", "кот сабака хата сад лес"),
        "deu": ("LATIN", "Katze Hund Haus Garten Wald"),
    }
    rows = [
        {"lang": language, "script": script, "text": f"{said} {n}", "eng": f"sentence number {n} {word}"}
        for n in range(60)
        for language, (script, listed) in words.items()
        for word, said in [(n % 5, listed.split()[n % 5])]
    ]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "tatoeba_v1.jsonl").write_text(text, encoding="utf-8")
    return folder
