"""Which trials are compared under which label."""

from made_up import METHODS, study

from ray_asng.results.figures import MOST_METHODS, MOST_SEARCHES, course, distributions
from ray_asng.results.tables import path_comparisons
from ray_asng.results.trials import grounds

SWEEP = ("", "initial_step=0.3", "initial_step=10", "initial_step=3")


def no_file(name, figure):
    return f"figures/{name}.png"


def test_trials_are_grouped_by_their_label_and_what_a_sweep_varied():
    (ground,) = grounds(study(16, labels=("asng", "mine | *best*"), settings=SWEEP))
    assert list(ground.searches) == [
        "asng",
        "asng, initial_step=0.3",
        "asng, initial_step=3",
        "asng, initial_step=10",
        "mine | *best*",
        "mine | *best*, initial_step=0.3",
        "mine | *best*, initial_step=3",
        "mine | *best*, initial_step=10",
    ]
    assert all(len(trials) == 2 for trials in ground.searches.values())


def test_methods_stand_in_the_order_of_the_registry():
    (ground,) = grounds(study(4))
    assert list(ground.searches) == ["asng", "random_search", "darts", "gaea"]
    assert ground.labels == list(ground.searches)


def test_a_sweep_without_a_label_is_named_by_its_method():
    table = study(2, labels=("",), settings=("", "lr=0.1"))
    (ground,) = grounds(table)
    assert list(ground.searches) == ["asng", "asng, lr=0.1"]


def test_only_methods_that_no_sweep_changed_are_compared():
    (ground,) = grounds(study(32, settings=SWEEP))
    assert [comparison.other for comparison in path_comparisons(ground)] == list(METHODS[1:])


def test_a_sweep_alone_is_compared_within_itself():
    (ground,) = grounds(study(8, labels=("asng",), settings=SWEEP[1:]))
    assert len(path_comparisons(ground)) == 2


def test_curves_over_epochs_are_drawn_for_as_many_methods_as_there_are_colours():
    labels = tuple(f"mine {number}" for number in range(MOST_METHODS + 3))
    (ground,) = grounds(study(len(labels), labels=labels))
    assert f"Drawn for {MOST_METHODS} of {len(labels)} rows of the table: the first ones." in [
        getattr(block, "text", "") for block in course(ground, no_file)
    ]


def test_probabilities_are_drawn_for_the_first_seeds_of_each_method_and_the_rest_is_said():
    (ground,) = grounds(study(40, labels=("asng", "darts")))
    *pictures, rest = distributions(ground, no_file)
    seeds = [picture.path.split("_", 1)[1] for picture in pictures]
    expected = [f"{label}_seed{seed}.png" for label in ("asng", "darts") for seed in range(MOST_SEARCHES // 2)]
    assert seeds == expected
    assert rest.text == f"Drawn for {MOST_SEARCHES} of 40 searches: the first seeds of each method."
    assert all(picture.is_detail for picture in pictures)
