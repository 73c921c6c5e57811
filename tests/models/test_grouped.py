"""The grouped optimizer against a hand-written loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.models.optimizers.grouped import Group, GroupedOptimizer
from bench.models.optimizers.grouped_model import GroupedModel

RATE = 0.05


def two_branches() -> tuple[Any, list[Any], list[Any]]:
    """A model, the variables of its fast branch, and the rest."""
    keras.utils.set_random_seed(3)
    given = keras.Input((5,))
    fast = keras.layers.Dense(4, activation="tanh", name="fast")(given)
    slow = keras.layers.Dense(3, name="slow")(given)
    answer = keras.layers.Dense(1, name="head")(keras.layers.Concatenate()([fast, slow]))
    model = keras.Model(given, answer)
    groups = {n: model.get_layer(n).trainable_variables for n in ("fast", "slow", "head")}
    return model, groups["fast"], [*groups["slow"], *groups["head"]]


def batches() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(28, 5)).astype("f4"), rng.normal(size=(28, 1)).astype("f4")


@pytest.mark.parametrize("ratio", [1, 2, 3])
@pytest.mark.parametrize("eagerly", [False, True])
def test_fit_gives_the_weights_of_a_hand_written_loop(ratio: int, eagerly: bool) -> None:
    x, y = batches()
    model, fast, slow = two_branches()
    model.compile(
        GroupedOptimizer(
            lambda: keras.optimizers.Adam(RATE), [Group(fast), Group(slow, period=ratio)]
        ),
        loss="mse",
        run_eagerly=eagerly,
        jit_compile=False,
    )
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)

    by_hand, its_fast, its_slow = two_branches()
    adam = {"fast": keras.optimizers.Adam(RATE), "slow": keras.optimizers.Adam(RATE)}
    for batch in range(14):  # 2 epochs of 7 batches: neither 2 nor 3 divides them
        part = slice(batch % 7 * 4, batch % 7 * 4 + 4)
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean((by_hand(x[part]) - y[part]) ** 2)
        of_fast = tape.gradient(loss, [v.value for v in its_fast])
        of_slow = tape.gradient(loss, [v.value for v in its_slow])
        adam["fast"].apply(of_fast, its_fast)
        if (batch + 1) % ratio == 0:
            adam["slow"].apply(of_slow, its_slow)
    for mine, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_a_skipped_batch_moves_neither_weights_nor_moments_nor_step_count() -> None:
    x, y = batches()
    model, fast, slow = two_branches()
    optimizer = GroupedOptimizer(
        lambda: keras.optimizers.Adam(RATE), [Group(fast), Group(slow, period=2)]
    )
    model.compile(optimizer, loss="mse", jit_compile=False)
    before = [variable.numpy().copy() for variable in slow]
    model.train_on_batch(x[:4], y[:4])
    slow_adam = optimizer._parts[1]
    assert all(np.array_equal(v.numpy(), old) for v, old in zip(slow, before, strict=True))
    assert int(slow_adam.iterations) == 0
    assert all(not v.numpy().any() for v in slow_adam._momentums)
    model.train_on_batch(x[4:8], y[4:8])
    assert int(slow_adam.iterations) == 1
    assert int(optimizer._parts[0].iterations) == 2
    assert any(not np.array_equal(v.numpy(), old) for v, old in zip(slow, before, strict=True))


def test_groups_that_leave_a_variable_out_are_refused() -> None:
    model, fast, slow = two_branches()
    optimizer = GroupedOptimizer(
        lambda: keras.optimizers.Adam(RATE), [Group(fast), Group(slow[:-1], period=2)]
    )
    with pytest.raises(ValueError, match="each of the 6 trainable variables once"):
        optimizer.build(model.trainable_variables)


def trained(groups: list[Group], **options: Any) -> tuple[Any, GroupedOptimizer]:
    """A model after 7 batches; `groups` are made of its fast and slow variables."""
    x, y = batches()
    model, fast, slow = two_branches()
    named = {"fast": fast, "slow": slow}
    filled = [replace(group, variables=named[group.variables[0]]) for group in groups]
    optimizer = GroupedOptimizer(lambda: keras.optimizers.Adam(RATE), filled, **options)
    model.compile(optimizer, loss="mse", jit_compile=False)
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return model, optimizer


def test_next_batch_interleaving_takes_turns() -> None:
    _, optimizer = trained([Group(["fast"], period=3, turns=(1, 2)), Group(["slow"], period=3)])
    # Batches 1, 2, 4, 5, 7 are the landmark branch's; 3 and 6 the rest's.
    assert [int(part.iterations) for part in optimizer._parts] == [5, 2]


def test_a_shared_count_runs_too_fast_as_one_adam_for_all_steps_does() -> None:
    model, optimizer = trained([Group(["fast"]), Group(["slow"], period=2)], shared_count=True)
    x, y = batches()
    by_hand, fast, slow = two_branches()
    adam = keras.optimizers.Adam(RATE)
    adam.build([*fast, *slow])
    for batch in range(7):
        part = slice(batch * 4, batch * 4 + 4)
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean((by_hand(x[part]) - y[part]) ** 2)
        of_fast = tape.gradient(loss, [v.value for v in fast])
        of_slow = tape.gradient(loss, [v.value for v in slow])
        adam.apply(of_fast, fast)
        if batch % 2:
            adam.apply(of_slow, slow)
    assert (
        [int(part.iterations) for part in optimizer._parts]
        == [int(adam.iterations)] * 2
        == [10, 10]
    )
    for mine, expected in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_a_shadow_gives_its_variable_a_second_step_and_stays_equal_to_it() -> None:
    start = np.array([1.0, 2.0], "f4")
    variable, shadow = (keras.Variable(start) for _ in range(2))
    optimizer = GroupedOptimizer(
        lambda: keras.optimizers.SGD(0.1), [Group([variable], shadows=[(variable, shadow)])]
    )
    optimizer.build([variable, shadow])
    gradients = [keras.ops.array([1.0, 0.0]), keras.ops.array([0.0, 3.0])]
    optimizer.apply(gradients, [variable, shadow])
    np.testing.assert_allclose(variable.numpy(), start - [0.1, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(variable.numpy(), shadow.numpy())
    assert int(optimizer._parts[0].iterations) == 2


def compiled(model_class: type) -> Any:
    plain, fast, slow = two_branches()
    model = model_class(plain.inputs, plain.outputs)
    groups = [Group(fast), Group(slow, period=2)]
    model.compile(GroupedOptimizer(lambda: keras.optimizers.Adam(RATE), groups), loss="mse")
    return model


def test_a_grouped_model_takes_the_steps_of_a_plain_one() -> None:
    x, y = batches()
    logs, weights = [], []
    for model_class in (keras.Model, GroupedModel):
        model = compiled(model_class)
        fitted = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        logs.append(fitted.history)
        weights.append(model.get_weights())
    assert logs[0] == logs[1]
    for plain, grouped in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, grouped)


def test_only_the_gradients_of_groups_that_are_due_are_asked_for() -> None:
    fast, slow, shadow = (keras.Variable(1.0, name=name) for name in ("fast", "slow", "shadow"))
    groups = [Group([fast], shadows=[(fast, shadow)]), Group([slow], period=3)]
    optimizer = GroupedOptimizer(lambda: keras.optimizers.SGD(0.1), groups)
    optimizer.build([fast, slow, shadow])
    asked: list[list[str]] = []

    def gradients(variables: list[Any]) -> list[Any]:
        asked.append([variable.name for variable in variables])
        return [keras.ops.ones(()) for _ in variables]

    for _ in range(3):
        optimizer.apply_due(gradients)
    assert asked == [["fast", "shadow"], ["fast", "shadow"], ["fast", "shadow", "slow"]]
