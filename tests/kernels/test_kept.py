"""Stand-ins of a large table are found once, and a file that is damaged costs time alone."""

import pytest
import torch

from kernels import EmbeddingTable, kept, spectrum, table


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    monkeypatch.setattr(kept, "LARGE", 100)
    return tmp_path / "kernels"


def never(*given):
    raise AssertionError("it was found again")


def weight(seed=0):
    return torch.randn(60, 9, generator=torch.Generator().manual_seed(seed)).bfloat16()


def test_they_are_the_same_from_the_file(home, monkeypatch):
    made = EmbeddingTable(weight()).low_rank
    (file,) = home.glob("stand-ins-*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(spectrum, "exact", never)
        read = EmbeddingTable(weight()).low_rank
        assert torch.equal(read.basis, made.basis)
        assert torch.equal(read.coordinates, made.coordinates)
        assert read.scale == made.scale
        with pytest.raises(AssertionError, match="found again"):
            _ = EmbeddingTable(weight(1)).low_rank
        # The same bytes of another type or shape are another table.
        with pytest.raises(AssertionError, match="found again"):
            _ = EmbeddingTable(weight().view(torch.float16)).low_rank
    file.write_bytes(file.read_bytes()[:50])
    assert EmbeddingTable(weight()).low_rank.scale == made.scale
    assert len(file.read_bytes()) > 50


def test_stand_ins_that_other_code_made_are_found_again(home, tmp_path, monkeypatch):
    sources = []
    monkeypatch.setattr(table, "kept", lambda weight, given, make: sources.extend(given) or make())
    assert EmbeddingTable(weight()).low_rank is not None
    # Directions and what they leave; rank, rounding and the bound itself.
    assert {source.name for source in sources} == {"spectrum.py", "table.py"}
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    for source in (first, second):
        source.write_text("1")
    before = kept._digest(weight(), [first, second])
    for source in (first, second):
        source.write_text("2")
        after = kept._digest(weight(), [first, second])
        assert after != before
        before = after


def test_a_small_table_and_a_folder_that_cannot_be_written_go_without(home, monkeypatch):
    home.parent.joinpath("kernels").write_text("no folder")
    assert EmbeddingTable(weight()).low_rank is not None
    home.unlink()
    monkeypatch.setattr(kept, "LARGE", 10**6)
    assert EmbeddingTable(weight()).low_rank is not None
    assert not home.exists()
