import numpy as np
import pytest
from PIL import Image

from ray_asng.results.restored import restored_images
from ray_asng.results.style import save


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_has_a_row_for_each_name_and_shows_the_pixels(tmp_path, channels):
    rng = np.random.default_rng(0)
    rows = [(name, rng.uniform(-0.2, 1.2, size=(4, channels, 6, 6))) for name in ("masked", "restored", "true")]
    figure = restored_images(rows)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == 12
    expected = rows[1][1][2].transpose(1, 2, 0).clip(0.0, 1.0)
    np.testing.assert_allclose(np.asarray(shown[6]).reshape(expected.shape), expected)
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["masked", "restored", "true"]
    with Image.open(save(figure, tmp_path / "restored.png")) as picture:
        assert picture.width > picture.height
