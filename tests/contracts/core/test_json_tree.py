from contracts.core.json_tree import leaves, map_texts


def test_leaves_come_in_the_order_of_the_text_with_their_paths():
    value = {"a": [1, {"b": None}], "c": {}, "d": "x"}
    assert list(leaves(value)) == [(("a", 0), 1), (("a", 1, "b"), None), (("d",), "x")]
    assert list(leaves("alone")) == [((), "alone")]


def test_leaves_of_a_value_deeper_than_the_stack_are_found():
    value = ["at the bottom"]
    for _ in range(20_000):
        value = [value]
    assert [leaf for _, leaf in leaves(value)] == ["at the bottom"]


def test_texts_are_changed_in_names_too_and_other_values_stay():
    assert map_texts({"a": ["b", 1, None]}, str.upper) == {"A": ["B", 1, None]}
