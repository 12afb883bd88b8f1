import pytest
import tensorflow as tf

from rembrandt_featgen.nn import mixed_precision


@pytest.mark.parametrize(
    ("precision", "name", "compute"),
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "mixed_bfloat16", "bfloat16"),
        ("float16", "mixed_float16", "float16"),
    ],
)
def test_policy_computes_in_precision_and_keeps_float32_variables(precision, name, compute):
    assert mixed_precision.policy(precision) == name
    policy = tf.keras.mixed_precision.Policy(mixed_precision.policy(precision))
    assert (policy.compute_dtype, policy.variable_dtype) == (compute, "float32")


def test_every_precision_has_a_policy():
    assert mixed_precision.PRECISIONS == ("float32", "bfloat16", "float16")


@pytest.mark.parametrize("wrong", ["int8", "mixed_float16", "", None])
def test_unknown_precision_is_quoted_with_the_known(wrong):
    with pytest.raises(ValueError, match=f"float32, bfloat16, float16, received {wrong!r}"):
        mixed_precision.policy(wrong)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", tf.keras.mixed_precision.Policy("mixed_bfloat16")])
def test_policy_scope_holds_inside_alone(policy):
    before = tf.keras.mixed_precision.global_policy().name
    with mixed_precision.policy_scope(policy):
        assert tf.keras.layers.Dense(1).compute_dtype == "bfloat16"
        with mixed_precision.policy_scope("mixed_float16"):
            assert tf.keras.layers.Dense(1).compute_dtype == "float16"
        assert tf.keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert tf.keras.mixed_precision.global_policy().name == before == "float32"


def test_policy_scope_restores_after_an_exception():
    with pytest.raises(KeyError), mixed_precision.policy_scope("mixed_float16"):
        raise KeyError("inside")
    assert tf.keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_scaled_returns_the_optimizer_as_it_is(precision):
    optimizer = mixed_precision.adam(1e-3)
    assert mixed_precision.scaled(optimizer, precision) is optimizer


def test_scaled_wraps_for_float16():
    optimizer = mixed_precision.adam(1e-3)
    scaled = mixed_precision.scaled(optimizer, "float16")
    assert isinstance(scaled, tf.keras.mixed_precision.LossScaleOptimizer)
    assert scaled.inner_optimizer is optimizer
    assert scaled.dynamic
    assert float(scaled.get_scaled_loss(tf.constant(1.0))) > 1.0
