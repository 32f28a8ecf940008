"""The tables of true accuracies: what they say of methods, chance, the optimum, differences and costs."""

import json

import pytest
from table_trials import BEST, REFERENCE, Figures, ground_of, of_final, search, table_with, texts

from ray_asng.results.compared import Reference, references
from ray_asng.results.document import Heading, Table
from ray_asng.results.statistics import bootstrap_interval
from ray_asng.results.trials import Trial
from ray_asng.results.truth import section

TRUTHS = {
    "asng": {0: 0.930, 1: 0.935, 2: 0.925, 3: 0.940, 4: 0.932},
    "darts": {0: 0.543, 1: 0.55, 2: 0.543, 3: 0.60, 4: 0.543},
    "gaea": {0: 0.931, 1: 0.933, 2: 0.927, 3: 0.938, 4: 0.93},
}


def of_cifar10(ground):
    """The section's blocks about CIFAR-10 alone."""
    blocks = section(ground, Figures().save)
    second = next(index for index, block in enumerate(blocks) if getattr(block, "text", "").endswith("CIFAR-100"))
    return blocks[:second]


def test_the_main_table_holds_mean_interval_best_and_ranks():
    rows = table_with(of_cifar10(of_final(TRUTHS)), "mean rank")
    interval = bootstrap_interval(list(TRUTHS["asng"].values()))
    assert rows["asng"]["mean [%]"] == "93.24"
    assert rows["asng"]["95 % interval"] == f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"
    assert rows["asng"]["best of the seeds [%]"] == "94.00"
    # asng is second to gaea for seeds 0 and 2.
    assert (rows["asng"]["mean rank"], rows["gaea"]["mean rank"], rows["darts"]["mean rank"]) == ("1.4", "1.6", "3.0")


def test_chance_and_the_optimum_of_the_table_are_always_there():
    rows = table_with(of_cifar10(of_final({"asng": {0: 0.9}})), "mean rank")
    assert rows["random architecture"]["mean [%]"] == "87.37"
    # The made-up percentiles run evenly from 10 % to the optimum.
    assert rows["random architecture"]["95 % interval"] == f"{10 + 0.025 * 84.37:.2f} to {10 + 0.975 * 84.37:.2f}"
    optimum = rows["optimum of the table"]
    assert (optimum["mean [%]"], optimum["selected on validation [%]"]) == ("94.37", "94.17")


def test_the_seed_selected_on_validation_is_not_the_best_by_the_table():
    searches = [search("asng", 0, [0.94], paths=[0.5]), search("asng", 1, [0.91], paths=[0.6])]
    row = table_with(of_cifar10(ground_of({"asng": searches})), "mean rank")["asng"]
    assert (row["selected on validation [%]"], row["best of the seeds [%]"]) == ("91.00", "94.00")


def test_every_data_set_has_its_table():
    blocks = section(of_final(TRUTHS), Figures().save)
    titles = [block.text for block in blocks if isinstance(block, Heading) and block.level == 4]
    names = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")
    assert titles == [*(f"True test accuracy on {name}" for name in names), "What the searches cost"]
    (imagenet,) = [block for block in blocks[-6:] if isinstance(block, Table) and "mean rank" in block.header]
    assert imagenet.rows[0][2] == f"{93.24 * BEST['imagenet16_120'] / BEST['cifar10']:.2f}"


def test_others_are_compared_with_asng_wherever_it_stands():
    ground = of_final({"darts": TRUTHS["darts"], "asng": TRUTHS["asng"]})
    rows = table_with(of_cifar10(ground), "p, paired t (Holm)")
    assert list(rows) == ["darts"]
    assert rows["darts"]["difference to asng [points]"] == "-37.66"


def test_a_label_of_asng_is_the_reference_and_else_the_first_method():
    runs = [search("asng", seed, [value]) for seed, value in TRUTHS["asng"].items()]
    others = [search("darts", seed, [value]) for seed, value in TRUTHS["darts"].items()]
    assert "darts against asng, no none:" in texts(of_cifar10(ground_of({"darts": others, "asng, no none": runs})))
    assert "gaea against darts:" in texts(of_cifar10(of_final({"darts": TRUTHS["darts"], "gaea": TRUTHS["gaea"]})))


def test_every_comparison_says_whether_it_is_more_than_noise():
    said = texts(of_cifar10(of_final(TRUTHS)))
    assert "darts against asng: -37.66 percentage points over 5 seeds in common" in said
    assert "p < 0.001): worse, by more than noise explains." in said
    assert "gaea against asng: -0.06 percentage points" in said
    assert "): not more than noise explains." in said


def test_runs_that_do_not_overlap_are_named_where_the_t_test_is_in_doubt():
    wild = dict(enumerate([0.1, 0.9, 0.85, 0.9, 0.2]))
    said = texts(of_cifar10(of_final({"asng": TRUTHS["asng"], "darts": wild})))
    assert "not more than noise explains, though every run of darts lies below every run of asng (rank sum:" in said


def test_the_note_says_what_the_rank_sum_can_tell_at_most():
    said = texts(of_cifar10(of_final(TRUTHS)))
    assert "at least 0.0079, and 0.016 once adjusted for 2 comparisons: it can reject at 0.05 here." in said
    few = {method: {seed: runs[seed] for seed in range(3)} for method, runs in TRUTHS.items()}
    said = texts(of_cifar10(of_final(few)))
    assert "at least 0.1, and 0.2 once adjusted for 2 comparisons: it cannot reject at 0.05 here." in said


def test_missing_seeds_are_left_out_of_pairs_and_ranks_and_named():
    ground = of_final({"asng": TRUTHS["asng"], "darts": {0: 0.5, 1: 0.6, 7: 0.7}})
    said = texts(of_cifar10(ground))
    assert "over 2 seeds in common (only one of the two has seeds 2, 3, 4, 7)" in said
    assert "Mean rank: over the seeds 0, 1, which all methods finished." in said


@pytest.mark.parametrize("other", [{0: 0.9}, {9: 0.9}])
def test_one_pair_or_none_is_no_test(other):
    said = texts(of_cifar10(of_final({"asng": TRUTHS["asng"], "darts": other})))
    assert ("cannot be told from one pair" in said) or ("no seed in common, nothing to compare" in said)


def test_equal_values_are_compared_without_a_test():
    said = texts(of_cifar10(of_final({"asng": dict.fromkeys(range(4), 0.9), "darts": dict.fromkeys(range(4), 0.9)})))
    assert "darts against asng: 0.00 percentage points" in said
    assert "leaves the t test nothing to judge by; by the rank sum p = 1." in said


def test_unfinished_searches_do_not_count_beside_finished_ones():
    runs = [search("asng", 0, [0.5, 0.94]), search("asng", 1, [0.5], epochs=2)]
    row = table_with(of_cifar10(ground_of({"asng": runs})), "mean rank")["asng"]
    assert (row["seeds"], row["mean [%]"]) == ("1 (1 more unfinished)", "94.00")


def test_a_method_without_a_finished_search_is_shown_and_not_compared():
    running = [search("darts", seed, [0.5], epochs=3) for seed in range(3)]
    done = [search("asng", seed, [0.93]) for seed in range(3)]
    blocks = of_cifar10(ground_of({"asng": done, "darts": running}))
    assert table_with(blocks, "mean rank")["darts"]["seeds"] == "3 at epoch 1 of 3, none finished"
    assert "darts against asng: no seed in common" in texts(blocks)


def test_values_that_are_no_numbers_lower_the_count():
    ground = of_final({"asng": {0: 0.93, 1: float("nan"), 2: 0.92}, "darts": {0: 0.5, 1: 0.5, 2: 0.5}})
    blocks = of_cifar10(ground)
    assert table_with(blocks, "mean rank")["asng"]["seeds"] == "2"
    assert table_with(blocks, "p, paired t (Holm)")["darts"]["seeds in common"] == "2"


def test_collapsed_searches_are_counted():
    runs = [
        search("darts", 0, [0.5], parameter_free_share=1.0),
        search("darts", 1, [0.5], ended="collapsed", parameter_free_share=0.5),
        search("darts", 2, [0.5], parameter_free_share=5 / 6),
        search("darts", 3, [0.5], parameter_free_share=None),
    ]
    assert table_with(of_cifar10(ground_of({"darts": runs})), "mean rank")["darts"]["collapsed"] == "2 of 4"


def test_trials_of_sweeps_are_not_in_the_main_table():
    swept = [search("asng", seed, [0.5], label="asng", setting="lr=9") for seed in range(3)]
    ground = ground_of({"asng": [search("asng", 0, [0.93])], "asng, lr=9": swept})
    assert "asng, lr=9" not in table_with(of_cifar10(ground), "mean rank")
    assert section(ground_of({"asng, lr=9": swept}), Figures().save) == []


def test_without_a_table_there_is_no_section():
    bare = Trial(({"kind": "search", "method": "asng", "seed": 0, "path_accuracy": 0.9, "epochs": 1, "epoch": 1},))
    assert section(ground_of({"asng": [bare]}), Figures().save) == []


def test_costs_say_whether_budgets_were_equal():
    equal = section(of_final(TRUTHS), Figures().save)
    row = table_with(equal, "backward passes")["asng"]
    assert (row["steps"], row["passes"], row["seconds of a search"], row["device"]) == ("100", "400", "10.0 s", "cpu")
    assert "The methods had equal passes" in texts(equal)
    unequal = ground_of(
        {"asng": [search("asng", 0, [0.9])], "darts": [search("darts", 0, [0.9], forward_passes=700.0)]}
    )
    assert "did not have equal passes: the most is 2 times the least" in texts(section(unequal, Figures().save))


def test_each_space_within_a_ground_has_its_own_chance_and_optimum():
    column = "table_cifar10_test_accuracy"
    smaller = json.dumps({column: {**REFERENCE[column], "random_mean": 0.9}})
    groups = {
        "asng": [search("asng", 0, [0.93])],
        "asng, no none": [search("asng", 0, [0.93], table_reference=smaller)],
    }
    found = references(groups, column)
    assert [(labels, reference.mean) for labels, reference in found] == [
        (("asng",), pytest.approx(0.8737)),
        (("asng, no none",), 0.9),
    ]
    assert all(isinstance(reference, Reference) for _, reference in found)
    assert "random architecture (asng, no none)" in table_with(of_cifar10(ground_of(groups)), "mean rank")


def test_a_row_about_a_space_names_the_fewer_searches_and_calls_many_the_others():
    column = "table_cifar10_test_accuracy"
    smaller = json.dumps({column: {**REFERENCE[column], "random_mean": 0.9}})
    groups = {f"asng, {count} samples": [search("asng", 0, [0.93])] for count in (2, 4, 6, 8)}
    groups["asng, no none"] = [search("asng", 0, [0.93], table_reference=smaller)]
    rows = table_with(of_cifar10(ground_of(groups)), "mean rank")
    assert {"random architecture (of the others)", "random architecture (asng, no none)"} <= set(rows)


def test_labels_stay_what_they_are_whatever_they_hold():
    blocks = of_cifar10(ground_of({"as*ng [a](b)": [search("asng", 0, [0.9])]}))
    assert r"as\*ng \[a\](b)" in table_with(blocks, "mean rank")
