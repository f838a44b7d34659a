from d2f.evaluate.systems import join
from tests.unit.evaluate.bench_toys import CHAIN, chain

TWO = """\
d2f: 1
name: two
views:
  soft: [{use: gaussian-blur, with: {sigma: 0.6}}]
  again: [{use: gaussian-blur, with: {sigma: 0.60}}, {use: jpeg, with: {quality: 60}}]
detectors:
  - {id: level, use: noise-level, views: [soft, plain, again]}
  - {id: noise, use: noise-level, with: {silent_above: 14.0}}
calibrate: {level/plain: {use: platt, with: {slope: -0.7, bias: 5.0}}}
"""


def test_equal_members_are_one_and_others_keep_a_name_of_their_own(tmp_path):
    other = (
        TWO.replace("name: two", "name: three")
        .replace("soft", "blurred")
        .replace("level/", "grain/")
        .replace("id: level", "id: grain")
    )
    plan, columns = join([chain(tmp_path / "1", CHAIN), chain(tmp_path / "2", TWO), chain(tmp_path / "3", other)])
    assert plan.member_names == ("noise/plain", "noise/soft", "noise/again", "noise-2/plain")
    assert columns == [[0], [1, 0, 2, 3], [1, 0, 2, 3]]


def test_views_of_one_name_that_differ_are_two(tmp_path):
    other = TWO.replace("sigma: 0.6}", "sigma: 0.7}").replace("name: two", "name: three")
    plan, _ = join([chain(tmp_path / "1", TWO), chain(tmp_path / "2", other)])
    assert "level/soft-2" in plan.member_names
    assert len(plan.members) == 5
