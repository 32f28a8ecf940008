"""Choices of values in a user's module: how they are read, shared, nested, extracted, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ray_asng import Categorical, Integer, IntegerChoice, OneOf, Real, RealChoice, Supernet, ValueChoice
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.darts import DARTS
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.value_choice import Choice, Derived, largest
from ray_asng.tasks import digits
from ray_asng.testing.supernet import check_supernet


class Network(nn.Module):
    """Depth, input selection, heads, a rate and a block type, each read in the way that suits it."""

    def __init__(self):
        super().__init__()
        self.depth = IntegerChoice(1, 3, name="depth")
        self.sizes = {"heads": ValueChoice((1, 2, 4), name="heads")}
        self.sources = [ValueChoice(2, name="source_0"), ValueChoice(("stem", "last"), name="source_1")]
        self.rate = RealChoice(0.0, 0.5, name="rate")
        self.stem = nn.Linear(64, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.act = OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh()}, name="activation")
        self.head = nn.Linear(8, 10)

    def forward(self, images):
        stem = last = self.stem(images.flatten(1))
        for block in self.blocks[: self.depth]:
            last = self.act(block(last))
        chosen = sum((stem, last)[source] for source in self.sources)
        heads = int(self.sizes["heads"])
        split = functional.layer_norm(chosen.view(len(images), heads, -1), (8 // heads,))
        return self.head(functional.dropout(split.flatten(1), float(self.rate), self.training))


NAMES = ("depth", "heads", "source_0", "source_1", "rate", "activation")
CHOSEN = {"depth": 2, "heads": "4", "source_0": "1", "source_1": "stem", "rate": 0.25, "activation": "tanh"}
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def supernet():
    torch.manual_seed(0)
    return Supernet(Network())


def test_a_module_with_values_keeps_the_contract_of_a_supernet():
    check_supernet(Network, IMAGES)


def test_the_space_has_every_choice_that_a_module_holds(supernet):
    assert supernet.space.names == NAMES
    assert supernet.space["depth"] == Integer("depth", 1, 3)
    assert supernet.space["heads"] == Categorical("heads", ("1", "2", "4"))
    assert supernet.space["source_0"] == Categorical("source_0", ("0", "1"))
    assert supernet.space["source_1"] == Categorical("source_1", ("stem", "last"))
    assert supernet.space["rate"] == Real("rate", 0.0, 0.5)


def test_a_path_reads_what_was_chosen(supernet):
    supernet(IMAGES, CHOSEN)
    module = supernet.module
    assert (int(module.depth), int(module.sizes["heads"]), float(module.rate)) == (2, 4, 0.25)
    assert [int(source) for source in module.sources] == [1, 0]
    assert list(range(module.depth)) == [0, 1]
    assert len(module.blocks[: module.depth]) == 2
    assert ["stem", "last"][module.sources[0]] == "last"


def test_another_path_gives_another_output(supernet):
    supernet.eval()
    outputs = [
        supernet(IMAGES, {**CHOSEN, **other}) for other in ({}, {"depth": 3}, {"heads": "1"}, {"source_1": "last"})
    ]
    assert all(not torch.equal(outputs[0], other) for other in outputs[1:])


@pytest.mark.parametrize("training", [True, False])
def test_the_child_equals_the_path_in_either_mode(supernet, training):
    supernet.train(training)
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = supernet.space.sample(rng)
        child = supernet.extract(architecture)
        torch.manual_seed(1)
        expected = supernet(IMAGES, architecture)
        torch.manual_seed(1)
        assert torch.equal(child(IMAGES), expected)


def test_plain_numbers_stand_in_the_child(supernet):
    child = supernet.extract(CHOSEN)
    assert (child.depth, child.sizes, child.sources, child.rate) == (2, {"heads": 4}, [1, 0], 0.25)
    assert type(child.depth) is int
    assert isinstance(child.act, nn.Tanh)
    assert torch.equal(pickle.loads(pickle.dumps(child.eval()))(IMAGES), child(IMAGES))


def test_extracting_does_not_change_what_is_read(supernet):
    supernet(IMAGES, CHOSEN)
    supernet.extract({**CHOSEN, "depth": 1})
    assert int(supernet.module.depth) == 2


def test_a_copy_of_a_supernet_chooses_by_itself(supernet):
    other = copy.deepcopy(supernet)
    supernet.select(CHOSEN)
    other.select({**CHOSEN, "depth": 3})
    assert (int(supernet.module.depth), int(other.module.depth)) == (2, 3)


class Pair(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return x * int(self.first) * int(self.second)


def test_choices_of_one_name_are_one_decision():
    supernet = Supernet(Pair(IntegerChoice(1, 4, name="n"), IntegerChoice(1, 4, name="n")))
    assert supernet.space.names == ("n",)
    assert float(supernet(torch.ones(()), {"n": 3})) == 9.0


def test_a_choice_that_is_held_twice_is_one_decision():
    width = IntegerChoice(1, 4)
    supernet = Supernet(nn.Sequential(Pair(width, width), Pair(width, IntegerChoice(1, 2))))
    assert supernet.space.names == ("0.first", "1.second")
    assert float(supernet(torch.ones(()), {"0.first": 3, "1.second": 2})) == 54.0


@pytest.mark.parametrize(
    "other", [IntegerChoice(1, 5, name="n"), IntegerChoice(1, 4, step=3, name="n"), ValueChoice(4, name="n")]
)
def test_choices_of_one_name_that_differ_are_refused(other):
    with pytest.raises(ValueError, match=r"'n' is IntegerChoice\(1, 4, .* at 'first' and .* at 'second'; give one"):
        Supernet(Pair(IntegerChoice(1, 4, name="n"), other))


def test_a_value_choice_and_a_one_of_with_equal_options_are_two_things():
    module = nn.Sequential(OneOf({"0": nn.Identity(), "1": nn.Tanh()}, name="n"), Pair(ValueChoice(2, name="n"), 1))
    with pytest.raises(ValueError, match="need the same class"):
        Supernet(module)


def test_values_inside_an_option_that_was_not_chosen_are_fixed_by_the_canonical_form():
    inner = Pair(IntegerChoice(2, 4, name="inner"), RealChoice(0.5, 1.0, name="real"))
    shared = IntegerChoice(1, 3, name="outside")
    outer = OneOf({"skip": nn.Identity(), "pair": inner, "other": Pair(shared, 1)}, name="outer")
    space = Supernet(nn.Sequential(outer, Pair(shared, 1))).space
    chosen = {"outer": "skip", "inner": 3, "real": 0.75, "outside": 2}
    assert space.canonical(chosen) == space.architecture({**chosen, "inner": 2, "real": 0.5})
    assert space.canonical({**chosen, "outer": "pair"}) == space.architecture({**chosen, "outer": "pair"})


def test_arithmetic_on_choices_follows_them():
    width, heads = IntegerChoice(8, 32, step=8, name="width"), ValueChoice((2, 4), name="heads")
    supernet = Supernet(Pair([4 * width, width + heads, width // 2 + 1, heads * width], heads))
    supernet.select({"width": 16, "heads": "4"})
    assert [int(number) for number in supernet.module.first] == [64, 20, 9, 64]
    assert [largest(number) for number in supernet.module.first] == [128, 36, 17, 128]
    child = supernet.extract({"width": 24, "heads": "2"})
    assert (child.first, child.second) == ([96, 26, 13, 48], 2)


def test_a_module_of_the_child_holds_no_choice(supernet):
    child = supernet.extract(CHOSEN)
    held = [value for part in child.modules() for value in vars(part).values()]
    assert not [value for value in held if isinstance(value, (Choice, Derived))]


@pytest.mark.parametrize("read", [int, float, range, lambda choice: [1, 2][choice], lambda choice: [1, 2][:choice]])
def test_a_choice_outside_a_supernet_cannot_be_read(read):
    with pytest.raises(RuntimeError, match="read before anything was chosen: make choices in __init__"):
        read(IntegerChoice(1, 4, name="n"))


class MakesInForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh()})

    def forward(self, x):
        return self.act(x) * int(IntegerChoice(1, 4, name="late"))


def test_a_choice_made_inside_forward_is_refused():
    with pytest.raises(RuntimeError, match=r"IntegerChoice\(1, 4, step=1, name='late'\) was read before .* __init__"):
        Supernet(MakesInForward())(IMAGES, {"act": "relu"})


@pytest.mark.parametrize("compare", [lambda c: c == 3, lambda c: c != 3.0, lambda c: c == np.int64(3), bool])
def test_comparing_a_choice_without_reading_it_is_refused(compare):
    with pytest.raises(TypeError, match="is read by int"):
        compare(IntegerChoice(1, 4))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: IntegerChoice(4, 4), ValueError, "low < high"),
        (lambda: IntegerChoice(8, 20, step=8), ValueError, "divides high - low"),
        (lambda: IntegerChoice(1.5, 4), TypeError, "whole numbers"),
        (lambda: ValueChoice(1), ValueError, "at least two options"),
        (lambda: ValueChoice(("a",)), ValueError, "at least two options"),
        (lambda: ValueChoice("ab"), TypeError, "takes a count, whole numbers or names"),
        (lambda: ValueChoice((1, "a")), TypeError, "all whole numbers or all names"),
        (lambda: ValueChoice((0.1, 0.2)), TypeError, "use RealChoice"),
        (lambda: ValueChoice((1, 2, 1)), ValueError, "repeats an option"),
        (lambda: RealChoice(0.0, 1.0, log=True), ValueError, "needs low > 0"),
        (lambda: RealChoice("a", 1.0), TypeError, "takes numbers as bounds"),
        (lambda: IntegerChoice(-1, 4) * 2, ValueError, "numbers that can be negative"),
        (lambda: IntegerChoice(1, 4) * 0.5, TypeError, "whole numbers alone"),
        (lambda: IntegerChoice(1, 4) // 0, TypeError, "divided by a whole number of at least 1"),
    ],
)
def test_bad_choices_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_mixture_of_values_is_refused(supernet):
    weights = {name: torch.ones(len(options)) for name, options in (("activation", "ab"), ("heads", "abc"))}
    with pytest.raises(ValueError, match=r"values \['depth', 'heads', .* cannot be mixed.*samples paths, such as asng"):
        supernet(IMAGES, weights)


def test_a_method_that_mixes_is_refused_where_values_are_chosen():
    supernet = Supernet(nn.Sequential(nn.Flatten(), nn.Linear(64, 10), Pair(ValueChoice((1, 2), name="n"), 1)))
    with pytest.raises(ValueError, match=r"values \['n'\] cannot be mixed"):
        Search(supernet, digits(), DARTS(supernet.space), SearchSettings(epochs=1))


@pytest.mark.parametrize("wrong", [{"depth": 4}, {"depth": "2"}, {"heads": 4}, {"rate": 0.7}, {"source_1": "1"}])
def test_a_value_that_is_no_option_is_refused(supernet, wrong):
    with pytest.raises(ValueError, match=f"decision {next(iter(wrong))!r}"):
        supernet(IMAGES, {**CHOSEN, **wrong})


def test_a_search_moves_integers_and_reals_off_their_start_and_keeps_them_inside(supernet):
    asng = ASNG(supernet.space)
    start = asng.mean.copy()
    search = Search(supernet, digits(), asng, SearchSettings(epochs=1, steps_per_epoch=20, lr=0.05))
    search.run_epoch()
    assert (asng.mean != start).all()
    low, high = np.array([decision.bounds for decision in supernet.space.numeric]).T
    assert ((low <= asng.mean) & (asng.mean <= high)).all()
