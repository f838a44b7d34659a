from d2f.data.dataset import Labelled, column_value, columns_of

IMAGE = Labelled("a.png", 1, "flux", "blog", "anna", "g7", {"width": "256", "form": ""})


def test_attributes_and_columns_of_the_manifest_are_found_alike():
    found = [column_value(IMAGE, column) for column in ("label", "generator", "source", "collection", "group", "width")]
    assert found == ["1", "flux", "blog", "anna", "g7", "256"]


def test_a_column_that_is_empty_or_not_there_has_the_empty_value():
    assert column_value(IMAGE, "form") == ""
    assert column_value(IMAGE, "camera") == ""


def test_the_columns_of_a_set_are_those_of_any_image():
    other = Labelled("b.png", 0, more={"camera": "x", "form": ""})
    known = ("label", "generator", "source", "collection", "group")
    assert columns_of([IMAGE, other]) == (*known, "camera", "form", "width")
    assert columns_of([]) == known
