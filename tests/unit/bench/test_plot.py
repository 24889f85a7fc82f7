from xml.etree import ElementTree

from bench.plot import Group, render


def test_bars_of_one_measure_stand_together_and_better_is_to_the_right() -> None:
    text = render(
        "client <1>", "openvpn", [Group(label="a & b", times={"ginnel": 10.0, "mixed": 0.5})]
    )
    texts = [it.text for it in ElementTree.fromstring(text).iter() if it.tag.endswith("text")]
    assert "client <1>: times as good as openvpn" in texts
    assert texts.count("a & b") == 1
    assert {"ginnel", "mixed", "10", "0.5"} <= set(texts)
