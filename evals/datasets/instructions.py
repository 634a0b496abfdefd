"""Rows of LLM-Adapters' files, which hold options and answers in an instruction's words."""


def numbered(answer: str) -> int | None:
    """Return the place of `answer3`, as some files name options, from 0; None of anything else."""
    digits = answer.strip().lower().removeprefix("answer").strip()
    return int(digits) - 1 if digits.isdigit() and len(digits) < 3 else None


def instruction_options(instruction: str) -> tuple[str, list[str]]:
    """Return stem and options of an instruction that lists `Answer1: … Answer2: …`, as LLM-Adapters' files do."""
    body, _, _ = instruction.rpartition("\n\nAnswer format")
    stem, mark, listed = body.rpartition("\n\nAnswer1:")
    if not mark:
        return instruction, []
    options: list[str] = []
    rest, number = listed, 2
    while True:
        option, mark, rest = rest.partition(f" Answer{number}:")
        options.append(option.strip())
        if not mark:
            break
        number += 1
    return stem.split(": ", 1)[-1].strip(), options
