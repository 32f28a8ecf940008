"""Losses and metrics of a task on a user's own data, by name and as functions."""

import math

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch.nn import functional

from ray_asng.tasks import from_tensors
from ray_asng.tasks.losses_and_metrics import class_accuracy, cross_entropy, mean_squared_error

RNG = torch.Generator().manual_seed(0)
X = torch.randn(20, 4, generator=RNG)
CLASSES = torch.arange(20) % 3
NUMBERS = torch.randn(20, generator=RNG)


def draw(*shape):
    return torch.randn(*shape, generator=RNG)


def huber(outputs, targets):
    return functional.huber_loss(outputs.squeeze(-1), targets)


def median_error(outputs, targets):
    return (outputs.squeeze(-1) - targets).abs().median()


def own(loss=huber, metric=median_error, **options):
    names = {"metric_name": "median_error", "higher_is_better": False}
    return from_tensors(X, NUMBERS, loss=loss, metric=metric, **{**names, **options})


@pytest.mark.parametrize(
    ("targets", "metric", "higher"),
    [(CLASSES, "accuracy", True), (NUMBERS, "mse", False), (CLASSES == 1, "accuracy", True)],
)
def test_loss_and_metric_follow_from_the_type_of_the_targets(targets, metric, higher):
    task = from_tensors(X, targets)
    assert (task.metric, task.higher_is_better) == (metric, higher)


def test_cross_entropy_and_accuracy_are_those_of_torch():
    task, logits, targets = from_tensors(X, CLASSES), draw(20, 3), CLASSES
    torch.testing.assert_close(task.loss(logits, targets), functional.cross_entropy(logits, targets))
    smooth = functional.cross_entropy(logits, targets, label_smoothing=0.2)
    torch.testing.assert_close(task.loss(logits, targets, 0.2), smooth)
    assert task.score(logits, targets).item() == pytest.approx((logits.argmax(1) == targets).float().mean().item())


def test_logits_of_sequences_have_their_classes_last_or_second():
    logits, targets = draw(4, 6, 5), torch.randint(0, 5, (4, 6), generator=RNG)
    expected = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.1)
    for outputs in (logits, logits.transpose(1, 2)):
        torch.testing.assert_close(cross_entropy(outputs, targets, 0.1), expected)
        assert class_accuracy(outputs, targets) == (logits.argmax(-1) == targets).float().mean()


def test_logits_that_fit_both_ways_are_taken_with_their_classes_last():
    targets = torch.randint(0, 6, (4, 6), generator=RNG)
    outputs = functional.one_hot(targets, 6).float()
    assert class_accuracy(outputs, targets) == 1.0
    assert cross_entropy(20 * outputs, targets) < 1e-6


def test_maps_of_classes_are_taken_as_torch_has_them():
    logits, targets = draw(2, 3, 5, 4), torch.randint(0, 3, (2, 5, 4), generator=RNG)
    torch.testing.assert_close(cross_entropy(logits, targets), functional.cross_entropy(logits, targets))


def test_positions_without_a_target_count_neither_in_loss_nor_in_accuracy():
    logits, targets = draw(4, 6, 5), torch.randint(0, 5, (4, 6), generator=RNG)
    targets[:, 4:] = -100
    torch.testing.assert_close(cross_entropy(logits, targets), cross_entropy(logits[:, :4], targets[:, :4]))
    torch.testing.assert_close(class_accuracy(logits, targets), class_accuracy(logits[:, :4], targets[:, :4]))


def test_a_column_of_outputs_serves_a_vector_of_targets_and_is_not_spread_to_a_square():
    outputs, targets = draw(20, 1), NUMBERS
    expected = ((outputs[:, 0] - targets) ** 2).mean()
    torch.testing.assert_close(mean_squared_error(outputs, targets), expected)
    torch.testing.assert_close(mean_squared_error(outputs[:, 0], targets[:, None]), expected)
    task = from_tensors(X, NUMBERS, loss="l1")
    assert task.metric == "mae"
    torch.testing.assert_close(task.loss(outputs, targets), (outputs[:, 0] - targets).abs().mean())
    with pytest.raises(ValueError, match=r"\(20, 2\) do not fit targets of shape \(20,\)"):
        task.loss(draw(20, 2), targets)


def test_integers_can_be_numbers_to_predict():
    task = from_tensors(X, CLASSES, loss="mse", metric="mae")
    outputs = draw(20)
    torch.testing.assert_close(task.loss(outputs, CLASSES), ((outputs - CLASSES) ** 2).mean())
    assert "classes" not in task.network_options


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float32])
def test_binary_labels_may_be_of_any_type(kind):
    labels = torch.stack([CLASSES == 0, CLASSES == 1], 1).to(kind)
    task, logits = from_tensors(X, labels, loss="binary_cross_entropy"), draw(20, 2)
    expected = functional.binary_cross_entropy_with_logits(logits, labels.float())
    torch.testing.assert_close(task.loss(logits, labels), expected)
    right = ((logits.sigmoid() > 0.5) == labels.bool()).float().mean()
    torch.testing.assert_close(task.score(logits, labels), right)


def test_smoothing_of_a_loss_without_classes_is_refused():
    for task in (from_tensors(X, NUMBERS), own()):
        with pytest.raises(ValueError, match=r"label_smoothing=0.1 .* set it to 0"):
            task.loss(draw(20, 1), NUMBERS, 0.1)


def test_functions_of_the_user_measure():
    task, outputs = own(), draw(20, 1).requires_grad_()
    assert (task.metric, task.higher_is_better) == ("median_error", False)
    torch.testing.assert_close(task.loss(outputs, NUMBERS), huber(outputs, NUMBERS))
    score = task.score(outputs, NUMBERS)
    assert (score.shape, score.requires_grad) == ((), False)
    torch.testing.assert_close(score, median_error(outputs, NUMBERS).detach())


def test_functions_of_the_user_get_whatever_the_network_returns():
    task = own(lambda out, targets: huber(out["mean"], targets), lambda out, targets: out["mean"].mean())
    outputs = {"mean": draw(20, 1)}
    torch.testing.assert_close(task.loss(outputs, NUMBERS), huber(outputs["mean"], NUMBERS))
    torch.testing.assert_close(task.score(outputs, NUMBERS), outputs["mean"].mean())


def test_a_metric_may_return_a_plain_number():
    def balanced(outputs, targets):
        return balanced_accuracy_score(targets, outputs.argmax(1))

    task = from_tensors(X, CLASSES, metric=balanced, metric_name="balanced", higher_is_better=True)
    score = task.score(functional.one_hot(CLASSES, 3).float(), CLASSES)
    assert (score.item(), score.dtype) == (1.0, torch.float32)


def test_a_loss_of_the_user_goes_with_a_named_metric():
    task = from_tensors(
        X, CLASSES, loss=lambda out, targets: functional.multi_margin_loss(out, targets), metric="accuracy"
    )
    assert task.network_options["classes"] == 3
    assert task.score(functional.one_hot(CLASSES, 3).float(), CLASSES) == 1.0


def test_targets_that_only_functions_of_the_user_look_at_may_hold_anything():
    missing = NUMBERS.clone()
    missing[::2] = torch.nan

    def known(outputs, targets):
        error = (outputs.squeeze(-1) - targets) ** 2
        return error[~error.isnan()].mean()

    task = from_tensors(X, missing, loss=known, metric=known, metric_name="known_mse", higher_is_better=False)
    assert math.isfinite(task.loss(draw(16, 1), task.batch("train_valid", torch.arange(16))[1]))


def test_a_metric_that_is_nan_is_named_with_its_batch():
    task = own(metric=lambda outputs, targets: outputs.sum() * torch.nan)
    with pytest.raises(ValueError, match=r"metric 'median_error' is NaN on a batch of 20 examples.*shape \(20, 1\)"):
        task.score(draw(20, 1), NUMBERS)


def test_a_metric_that_is_nan_because_the_network_diverged_is_no_error():
    assert own().score(torch.full((20, 1), torch.nan), NUMBERS).isnan()


@pytest.mark.parametrize("value", [torch.zeros(20), torch.zeros(1), None, "high"])
def test_a_loss_or_metric_that_is_no_single_number_is_named(value):
    with pytest.raises(ValueError, match="metric 'median_error' must be one number for a batch; on a batch of 20"):
        own(metric=lambda outputs, targets: value).score(draw(20, 1), NUMBERS)

    def bad(outputs, targets):
        return value

    with pytest.raises(ValueError, match=r"loss 'bad' must be a tensor without dimensions, .* on a batch of 20"):
        own(loss=bad).loss(draw(20, 1), NUMBERS)


@pytest.mark.parametrize(
    ("targets", "options", "error", "message"),
    [
        (CLASSES, {"loss": "crossentropy"}, ValueError, "unknown loss 'crossentropy'; did you mean 'cross_entropy'"),
        (CLASSES, {"metric": "acuracy"}, ValueError, "unknown metric 'acuracy'; did you mean 'accuracy'"),
        (NUMBERS, {"metric": "rmse"}, ValueError, "unknown metric 'rmse'.*mean over batches has a meaning"),
        (NUMBERS, {"loss": "cross_entropy"}, TypeError, r"class indices \(integers\) for 'cross_entropy'"),
        (CLASSES, {"metric": "mae"}, ValueError, r"'mae' does not go with the loss 'cross_entropy' .* \['accuracy'\]"),
        (NUMBERS, {"metric": "accuracy"}, ValueError, r"does not go with the loss 'mse' .* \['mse', 'mae'\]"),
        (NUMBERS, {"loss": huber}, ValueError, "'huber' is a function and says nothing of a metric"),
        (NUMBERS, {"loss": 3}, TypeError, "loss must be a name or a function"),
        (NUMBERS, {"metric": median_error}, ValueError, "needs metric_name, a word for reports"),
        (NUMBERS, {"metric": "mse", "metric_name": "error"}, ValueError, "belong to a function; 'mse' has its own"),
        (NUMBERS.to(torch.complex64), {}, TypeError, "have no loss by default"),
        (NUMBERS.to(torch.complex64), {"loss": "mse"}, TypeError, "targets must be real"),
    ],
)
def test_a_choice_that_cannot_work_is_refused(targets, options, error, message):
    with pytest.raises(error, match=message):
        from_tensors(X, targets, **options)


@pytest.mark.parametrize("name", ["loss", "my metric", ""])
def test_the_name_of_a_metric_must_make_a_column_that_is_free(name):
    with pytest.raises(ValueError, match="must be a word of letters"):
        own(metric_name=name)


def test_a_network_that_returns_several_tensors_needs_a_function():
    with pytest.raises(TypeError, match="the loss 'mse' takes one tensor, and the network returns a tuple"):
        from_tensors(X, NUMBERS).loss((draw(20), draw(20)), NUMBERS)
    with pytest.raises(ValueError, match=r"\(20, 3\) do not fit class targets of shape \(20, 1\)"):
        from_tensors(X, CLASSES[:, None]).loss(draw(20, 3), CLASSES[:, None])
