"""Words: which tokens make one, and attention between them."""

from __future__ import annotations

import numpy as np
import pytest

import attnlog
from attnlog.errors import NotRecordedError
from attnlog.record import Axis, Capture, Input
from attnlog.words import Word, between_words, words_of


def axis(text, ranges, *, tokens=None, **more):
    starts, ends = zip(*ranges, strict=True)
    return Axis(tokens=tuple(tokens or [text[a:b] or "[S]" for a, b in ranges]), text=text, starts=starts, ends=ends, **more)


def texts(one):
    return [word.text for word in words_of(one)]


def test_tokens_that_touch_are_one_word():
    one = axis("embedding the cat.", [(0, 2), (2, 5), (5, 9), (10, 13), (14, 17), (17, 18)])
    assert words_of(one) == (Word("embedding", 0, 3), Word("the", 3, 4), Word("cat.", 4, 6))


def test_a_range_that_holds_the_space_before_begins_a_word():
    one = axis("the cats sat", [(0, 3), (3, 7), (7, 8), (8, 12)])
    assert texts(one) == ["the", "cats", "sat"]


def test_special_tokens_stand_alone():
    one = axis("ab", [(0, 0), (0, 1), (1, 2), (0, 0)], special=(True, False, False, True))
    assert words_of(one) == (Word("[S]", 0, 1), Word("ab", 1, 3), Word("[S]", 3, 4))


def test_the_two_texts_of_a_pair_share_no_word():
    one = Axis(tokens=("a", "b"), text="a", pair="xb", starts=(0, 1), ends=(1, 2), segments=(0, 1))
    assert texts(one) == ["a", "b"]


def test_scripts_without_spaces_stay_as_the_tokenizer_cut_them():
    assert texts(axis("你好世界 ok", [(0, 2), (2, 3), (3, 4), (5, 6), (6, 7)])) == ["你好", "世", "界", "ok"]
    assert texts(axis("สวัสดี", [(0, 3), (3, 6)])) == ["สวั", "สดี"]


def test_tokens_that_share_a_character_are_one_word_in_any_script():
    """Bytes of one character: the offsets say so."""
    one = axis("猫𠀀", [(0, 1), (1, 2), (1, 2), (1, 2)], tokens=["猫", "b1", "b2", "b3"])
    assert words_of(one) == (Word("猫", 0, 1), Word("𠀀", 1, 4))


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["▁em", "bed", "ding", "▁the"], ["embedding", "the"]),
        (["Hello", "Ġwor", "ld", "Ċ", "Next", "Ġone"], ["Hello", "world", "Ċ", "Next", "one"]),
        (["em", "##bed", "##ding", "the"], ["embedding", "the"]),
        (["em@@", "bed", "the"], ["embed", "the"]),
        (["em", "bed</w>", "the</w>"], ["embed", "the"]),
        (["5", "17", "9"], ["5", "17", "9"]),
        (["▁f", "ür", "▁mich"], ["für", "mich"]),
        (["Ġä½łå¥½", "ä¸ĸçķĮ"], ["你好", "世界"]),
        (["Ġa", "ð", "Ł", "Ļ", "Ĥ"], ["a🙂"]),
    ],
    ids=["sentencepiece", "byte-level", "wordpiece", "goes on", "ends", "ids", "german", "chinese in bytes", "a character in bytes"],
)
def test_without_ranges_the_tokenizers_marks_say_where_words_begin(tokens, words):
    assert texts(Axis(tokens=tuple(tokens))) == words


def test_every_token_belongs_to_one_word_and_an_empty_axis_has_none():
    assert words_of(Axis(tokens=())) == ()
    one = axis("the cats sat", [(0, 3), (3, 7), (7, 8), (8, 12)])
    covered = [n for word in words_of(one) for n in range(word.start, word.end)]
    assert covered == list(range(4))


def test_weights_between_words_are_summed_over_keys_and_averaged_over_queries():
    weights = np.array([[[1, 0, 0], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]], dtype="f4")
    words = (Word("ab", 0, 2), Word("c", 2, 3))
    np.testing.assert_allclose(between_words(weights, words, words), [[[0.875, 0.125], [0.5, 0.5]]])


def test_a_reading_gives_words_and_weights_between_them(tmp_path, tokenizer):
    from tests.conftest import build

    capture = attnlog.capture(build("bert"), ["the cat sat on the mat"], tokenizer=tokenizer)
    with attnlog.Run(tmp_path / "run", precision="f32") as run:
        run.log(capture, step=0)
    for reading in (capture, attnlog.open(tmp_path / "run").read()):
        assert [word.text for word in reading.words()] == ["[CLS]", "the", "cat", "sat", "on", "the", "mat", "[SEP]"]
        np.testing.assert_array_equal(reading.weights("self", 1, words=True), reading.weights("self", 1))


def test_rows_between_words_still_sum_to_one():
    scores = np.random.default_rng(0).normal(size=(2, 4, 4)).astype("f4")
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    capture = attnlog.from_tensors([weights], ["em", "##bed", "##ding", "cat"])
    merged = capture.weights("self", 0, words=True)
    assert merged.shape == (2, 2, 2)
    assert merged.dtype == np.float32
    np.testing.assert_allclose(merged.sum(-1), 1, atol=1e-6)


def test_cross_attention_has_words_of_both_axes():
    axes = {"decoder": Axis(tokens=("▁a", "b")), "encoder": Axis(tokens=("▁c", "▁d", "e"))}
    weights = {"cross": [np.full((1, 2, 3), 1 / 3)]}
    capture = attnlog.from_tensors(weights, {name: one.tokens for name, one in axes.items()})
    assert isinstance(capture, Capture)
    assert isinstance(capture.inputs[0], Input)
    np.testing.assert_allclose(capture.weights("cross", 0, words=True), [[[1 / 3, 2 / 3]]], atol=1e-6)


def test_words_of_sparse_weights_are_refused(tmp_path):
    capture = attnlog.from_tensors([np.full((1, 9, 9), 1 / 9)], list("abcdefghi"))
    with attnlog.Run(tmp_path / "run", dense_tokens=4) as run:
        run.log(capture, step=0)
    with pytest.raises(NotRecordedError, match="need every weight"):
        attnlog.open(tmp_path / "run").read().weights("self", 0, words=True)


def test_words_of_an_axis_that_is_not_there_are_refused():
    capture = attnlog.from_tensors([np.full((1, 1, 1), 1.0)], ["a"])
    with pytest.raises(NotRecordedError, match="no axis 'vision'"):
        capture.words("vision")
    with pytest.raises(NotRecordedError, match="no input 3"):
        capture.words(input=3)


def test_a_kind_named_with_an_arrow_has_two_axes():
    from attnlog.record import axes_of

    assert axes_of("latents>vision") == ("latents", "vision")
    assert axes_of("cross") == ("decoder", "encoder")
    assert axes_of("vision") == ("vision", "vision")
    assert axes_of(">vision") == (">vision", ">vision")
