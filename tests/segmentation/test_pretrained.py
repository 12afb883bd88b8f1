import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorlayer as tl

from rembrandt_featgen.segmentation import pretrained, tensorlayer_files
from rembrandt_featgen.segmentation.unet import NORMS, build_unet

WIDTH = 4
a_unet = functools.lru_cache(build_unet)  # building takes a second; a test gives it its weights, or leaves them


def tensorlayer_unet(channels, width=WIDTH, size=32, norm="none", batch=2):
    """The network of github.com/zsdonghao/u-net-brain-tumor (`u_net`, SAME, n_out=1) in TensorLayer's own layers."""
    layers, relu = tl.layers, tf.nn.relu
    init = tl.initializers.truncated_normal(stddev=0.3)  # at 0.01 a narrow network's output is 0.5 everywhere
    bias = tl.initializers.random_uniform(-0.1, 0.1)
    x = inputs = layers.Input((batch, size, size, channels))
    skips = []

    def conv(x, filters, name, filter_size=3, act=relu):
        has_norm = filter_size == 3 and norm != "none"
        act = None if has_norm else act
        x = layers.Conv2d(filters, (filter_size,) * 2, act=act, W_init=init, b_init=bias, name=name)(x)
        kinds = {"batch": layers.BatchNorm2d, "instance": layers.InstanceNorm2d}
        return kinds[norm](act=relu, beta_init=bias, name=f"{name}_norm")(x) if has_norm else x

    for level in range(1, 6):
        x = conv(conv(x, width << level - 1, f"conv{level}_1"), width << level - 1, f"conv{level}_2")
        if level < 5:
            skips.append(x)
            x = layers.MaxPool2d((2, 2), padding="SAME", name=f"pool{level}")(x)
    for level in (4, 3, 2, 1):
        filters = width << level - 1
        x = layers.DeConv2d(filters, (3, 3), (2, 2), W_init=init, b_init=bias, name=f"deconv{level}")(x)
        x = layers.Concat(3, name=f"concat{level}")([x, skips.pop()])
        x = conv(conv(x, filters, f"uconv{level}_1"), filters, f"uconv{level}_2")
    return tl.models.Model(inputs, conv(x, 1, "uconv1", 1, tf.nn.sigmoid))


@pytest.fixture(scope="module")
def theirs():
    tf.random.set_seed(3)
    network = tensorlayer_unet(4)
    network.eval()
    return network


def save_npz(network, path, monkeypatch):
    """TensorLayer's own `save_npz`; it hands numpy a list of arrays of several shapes, which numpy >= 1.24 refuses."""

    def as_numpy(variables):
        params = np.empty(len(variables), dtype=object)
        params[:] = [variable.numpy() for variable in variables]
        return params

    monkeypatch.setattr(tl.files.utils, "tf_variables_to_numpy", as_numpy)
    tl.files.save_npz(network.all_weights, str(path))


def checkpoint(channels=4, width=WIDTH, seed=0):
    """Arrays of a U-Net's shapes with random values."""
    generator = np.random.default_rng(seed)
    unet = a_unet(channels, width)
    return [generator.normal(size=variable.shape).astype(np.float32) for variable in pretrained.variables(unet)]


def images(channels, seed=0, size=32):
    return np.random.default_rng(seed).normal(size=(2, size, size, channels)).astype(np.float32)


def test_forward_pass_equals_tensorlayers_after_import(theirs, tmp_path, monkeypatch):
    ours = a_unet(4, WIDTH)
    save_npz(theirs, tmp_path / "u_net_all.npz", monkeypatch)
    arrays = tensorlayer_files.read(tmp_path / "u_net_all.npz").arrays
    assert pretrained.assign(ours, arrays, ["flair", "t1", "t1ce", "t2"]) == "as they are"
    wanted = theirs(images(4)).numpy()
    assert np.ptp(wanted) > 0.1  # otherwise equality would say nothing
    np.testing.assert_allclose(ours(images(4)), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_with_a_norm_it_equals_tensorlayers_after_import(norm, tmp_path, monkeypatch):
    network, ours = tensorlayer_unet(1, 2, norm=norm, batch=2 if norm == "batch" else 1), a_unet(1, 2, norm=norm)
    if norm == "batch":  # moving averages of training
        network.train()
        for seed in range(40):
            network(images(1, seed))
    network.eval()
    save_npz(network, tmp_path / "norms.npz", monkeypatch)
    pretrained.assign(ours, tensorlayer_files.read(tmp_path / "norms.npz").arrays, ["flair"])
    parts = [images(1)] if norm == "batch" else images(1)[:, np.newaxis]  # its instance norm takes one slice at a time
    wanted = np.concatenate([network(part) for part in parts])
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(ours(images(1)), wanted, rtol=0, atol=1e-4)


def test_tensorlayer_loads_what_is_written(theirs, tmp_path):
    ours = a_unet(4, WIDTH)
    pretrained.assign(ours, [0.1 * array for array in checkpoint(4, seed=1)], pretrained.BRATS_MODALITIES)
    before = theirs(images(4)).numpy()
    tensorlayer_files.write(tmp_path / "ours.npz", [variable.numpy() for variable in pretrained.variables(ours)])
    tl.files.load_and_assign_npz(str(tmp_path / "ours.npz"), theirs)
    after = theirs(images(4)).numpy()
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, ours(images(4)), rtol=0, atol=1e-5)


def test_names_are_those_of_the_variables():
    """By name, not by place; TensorLayer calls kernels of convolutions `filters`, their biases `biases`."""
    parts = {"filters": "kernel", "kernel": "kernel", "biases": "bias", "bias": "bias"}
    names = [variable.name.partition(":")[0].split("/") for variable in pretrained.variables(a_unet(1, WIDTH))]
    assert [f"{name[0]}/{parts[name[-1]]}" for name in names] == list(pretrained.names(a_unet(1, WIDTH)))
    assert len(names) == 46
    assert pretrained.names(a_unet(1, WIDTH))[20:26] == tuple(
        f"{layer}/{part}" for layer in ("deconv4", "uconv4_1", "uconv4_2") for part in ("kernel", "bias")
    )


@pytest.mark.parametrize(("norm", "count"), [("instance", 82), ("batch", 118)])
def test_names_of_norms_are_those_of_the_variables(norm, count):
    unet = a_unet(1, 2, norm=norm)
    names = pretrained.names(unet)
    assert len(names) == count
    for name, variable in zip(names, pretrained.variables(unet)):
        layer, part = name.split("/")
        assert variable.name.startswith(f"{layer}/")
        assert part in ("kernel", "bias") or variable.name.partition(":")[0] == name
    assert names[:4] == ("conv1_1/kernel", "conv1_1/bias", "conv1_1_norm/beta", "conv1_1_norm/gamma")


@pytest.mark.parametrize("norm", NORMS)
def test_weights_of_another_norm_are_refused_by_its_name(norm):
    unet = a_unet(1, 2, norm=norm)
    for other in NORMS:
        arrays = [variable.numpy() for variable in pretrained.variables(a_unet(1, 2, norm=other))]
        if other == norm:
            assert pretrained.assign(unet, arrays, ["flair"]) == "as they are"
            continue
        with pytest.raises(
            ValueError, match=f"--unet_norm={other}, but this one has --unet_norm={norm}; give --unet_n"
        ):
            pretrained.assign(unet, arrays, ["flair"])


@pytest.mark.parametrize("norm", NORMS)
def test_best_npz_is_in_the_order_of_names(norm):
    unet = a_unet(1, 2, norm=norm)
    assert [id(v) for v in unet.weights] == [id(v) for v in pretrained.variables(unet)]


def test_one_channel_of_four():
    """4 -> 1: FLAIR's filters, which stand first, times sqrt(4 / 1) = 2; all else to the last bit."""
    arrays, unet = checkpoint(4), a_unet(1, WIDTH)
    text = pretrained.assign(unet, arrays, ["flair"])
    assert text == "the first layer's channels flair of flair,t1,t1ce,t2, times 2"
    found = [variable.numpy() for variable in pretrained.variables(unet)]
    np.testing.assert_array_equal(found[0], arrays[0][:, :, :1] * 2)
    for mine, other in zip(arrays[1:], found[1:]):
        np.testing.assert_array_equal(mine, other)


def test_channels_by_name():
    kernel = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)

    def adapted(*wanted):
        return pretrained.adapt_channels(kernel, pretrained.BRATS_MODALITIES, wanted).ravel()

    np.testing.assert_allclose(adapted("t2", "flair"), [3 * 2**0.5, 0], rtol=1e-6)
    np.testing.assert_array_equal(adapted("t1ce", "t2", "t1", "flair"), [2, 3, 1, 0])


@pytest.mark.parametrize(
    ("channels", "wanted", "given", "kept", "factor", "said"),
    [
        (
            1,
            ["flair", "flair@below", "flair@above"],
            [],
            [0],
            1.0,
            "flair of flair, times 1, and zeros for flair@below,",
        ),
        (4, ["t1", "t1@below", "t1@above"], [], [1], 2.0, "t1 of flair,t1,t1ce,t2, times 2, and zeros for t1@below,"),
        (2, ["pd", "pd@below", "pd@above"], ["pd", "pd@above"], [0, None, 1], 1.0, "pd,pd@above of pd,pd@above, times"),
    ],
)
def test_slices_beside_that_weights_do_not_know_start_at_zero(channels, wanted, given, kept, factor, said):
    arrays, unet = checkpoint(channels), a_unet(3, WIDTH)
    assert said in pretrained.assign(unet, arrays, wanted, given=given)
    kernel = pretrained.variables(unet)[0].numpy()
    for place, found in zip([*kept, None, None], np.moveaxis(kernel, 2, 0)):
        np.testing.assert_array_equal(found, 0.0 if place is None else factor * arrays[0][:, :, place])


def test_activation_scale_keeps():
    """Unit-variance channels, filters of one size: the deviation of the responses stays within sampling error."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3, 4, 512)).astype(np.float32)
    image = generator.normal(size=(4, 24, 24, 4)).astype(np.float32)
    one = pretrained.adapt_channels(kernel, pretrained.BRATS_MODALITIES, ["flair"])
    before, after = (
        np.std(tf.nn.conv2d(x, filters, 1, "VALID")) for x, filters in ((image, kernel), (image[..., :1], one))
    )
    assert before == pytest.approx(6.0, rel=0.02)  # sqrt(3 * 3 * 4)
    assert after == pytest.approx(before, rel=0.03)


@pytest.mark.parametrize(
    ("channels", "modalities", "given"),
    [
        (4, ["flair", "t1", "t1ce", "t2"], []),
        (1, ["flair"], []),
        (2, ["dwi", "swi"], []),
        (4, ["dwi", "swi", "pd", "adc"], []),  # not BraTS' names: taken to be these
        (2, ["t1", "flair"], ["t1", "flair"]),
    ],
)
def test_same_channels_stay_as_they_are(channels, modalities, given):
    arrays, unet = checkpoint(channels), a_unet(channels, WIDTH)
    assert pretrained.assign(unet, arrays, modalities, given=given) == "as they are"
    np.testing.assert_array_equal(pretrained.variables(unet)[0], arrays[0])


def changed(index, change):
    arrays = checkpoint(1)
    arrays[index] = change(arrays[index])
    return arrays


@pytest.mark.parametrize(
    ("arrays", "modalities", "given", "words"),
    [
        (lambda: checkpoint(1, 2), ["flair"], [], ["conv1_1/kernel", "(3, 3, 1, 2)", "width 4", "--unet_width=2"]),
        (lambda: checkpoint(1)[:-2], ["flair"], [], ["44 arrays", "46", "uconv1/kernel"]),
        (lambda: [*checkpoint(1), np.ones(1)], ["flair"], [], ["47 arrays", "46"]),
        (lambda: [], ["flair"], [], ["0 arrays", "conv1_1/kernel"]),
        (lambda: checkpoint(1)[4:], ["flair"], [], ["conv1_1/kernel", "(3, 3, 4, 8)", "--unet_width=8"]),
        (
            lambda: changed(20, lambda a: a.swapaxes(2, 3)),
            ["flair"],
            [],
            ["deconv4/kernel", "(3, 3, 64, 32) in it", "(3, 3, 32, 64) in this"],
        ),
        (lambda: changed(9, lambda a: a[:-1]), ["flair"], [], ["conv3_1/bias", "(15,)", "(16,)"]),
        (lambda: changed(0, lambda a: a.ravel()), ["flair"], [], ["conv1_1/kernel", "(36,)", "(3, 3, 1, 4)"]),
        (lambda: changed(45, lambda a: a * np.nan), ["flair"], [], ["uconv1/bias", "NaN"]),
        (lambda: changed(44, lambda a: a + 1e300 * np.ones(1)), ["flair"], [], ["uconv1/kernel", "infinite"]),
        (lambda: checkpoint(3), ["flair"], [], ["3 input channels", "--unet_weights_modalities"]),
        (lambda: checkpoint(1), ["flair"], ["flair", "t1"], ["1 input channels, not 2"]),
        (lambda: checkpoint(1), ["t1"], ["flair"], ["flair", "not on t1", "--modalities"]),
        (lambda: checkpoint(4), ["flair", "dwi"], ["flair", "t1", "t1ce", "t2"], ["not on dwi"]),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_assigned(arrays, modalities, given, words):
    unet = a_unet(len(modalities), WIDTH)
    before = unet.get_weights()
    with pytest.raises(ValueError) as caught:
        pretrained.assign(unet, arrays(), modalities, given=given)
    for word in words:
        assert word in str(caught.value)
    for old, new in zip(before, unet.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_float64_and_big_endian_are_cast():
    arrays, unet = checkpoint(1), a_unet(1, WIDTH)
    pretrained.assign(unet, [array.astype(">f8") for array in arrays], ["flair"])
    for mine, other in zip(arrays, unet.get_weights()):
        np.testing.assert_array_equal(mine, other)
