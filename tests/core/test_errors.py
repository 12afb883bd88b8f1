"""What a user reads."""

from rembrandt_featgen.core.errors import InputError


def test_what_a_message_quotes_is_cut_and_the_fix_stays():
    path = "/long/" + "folder/" * 80
    assert str(InputError(f"{path}: no such file; add it")) == f"{path}: no such file; add it"
    word = str(InputError(f"column {'x' * 40000}; rename it"))
    assert len(word) < 700 and word.startswith("column xxx") and word.endswith("x... rename it")
    many = str(InputError(f"columns {'a, ' * 5000}; leave some out"))
    assert len(many) < 3000 and many.startswith("columns a, ") and many.endswith("; leave some out")
