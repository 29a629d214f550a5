"""The filter of boxes is the textbook Kalman filter, and its noise does not depend on the frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.runtime.tracking import kalman
from edgepose.runtime.tracking.kalman import BoxFilter, to_boxes, to_state


def test_states_and_boxes_are_inverse():
    boxes = np.array([[10.0, 20, 50, 120], [-5, 3, 7, 4]])
    np.testing.assert_allclose(to_boxes(to_state(boxes)), boxes)


def test_it_is_the_textbook_filter():
    rng = np.random.default_rng(3)
    mine = BoxFilter()
    state = to_state(np.array([[10.0, 20, 60, 170]]))
    mine.add(state)
    scale = np.array([state[0, 3], state[0, 3], 1, state[0, 3]])
    mean = np.concatenate([state[0], np.zeros(4)])
    covariance = np.diag(np.concatenate([(kalman.MEASURED * scale) ** 2, (kalman.FIRST_SPEED * scale) ** 2]))
    look = np.eye(4, 8)
    for seconds in (0.04, 0.12, 0.04, 0.5):
        move = np.eye(8)
        move[:4, 4:] = seconds * np.eye(4)
        scale = np.array([mean[3], mean[3], 1, mean[3]])
        drift, push = (kalman.DRIFT * scale) ** 2, (kalman.ACCELERATION * scale) ** 2
        noise = np.zeros((8, 8))
        noise[:4, :4] = np.diag(seconds * drift + seconds**3 / 3 * push)
        noise[:4, 4:] = noise[4:, :4] = np.diag(seconds**2 / 2 * push)
        noise[4:, 4:] = np.diag(seconds * push)
        mean, covariance = move @ mean, move @ covariance @ move.T + noise
        measured = mean[:4] + rng.normal(0, 3, 4) * (1, 1, 0.01, 1)
        scale = np.array([measured[3], measured[3], 1, measured[3]])
        total = look @ covariance @ look.T + np.diag((kalman.MEASURED * scale) ** 2)
        gain = covariance @ look.T @ np.linalg.inv(total)
        mean, covariance = mean + gain @ (measured - look @ mean), covariance - gain @ look @ covariance
        mine.predict(seconds)
        mine.correct(np.array([0]), measured[None])
        np.testing.assert_allclose(mine.value[0], mean[:4], rtol=1e-9)
        np.testing.assert_allclose(mine.speed[0], mean[4:], rtol=1e-7, atol=1e-9)


def test_two_short_steps_are_one_long_step():
    filters = [BoxFilter(), BoxFilter()]
    for one in filters:
        one.add(to_state(np.array([[0.0, 0, 50, 150]])))
        one.predict(0.1)
        one.correct(np.array([0]), to_state(np.array([[8.0, 0, 58, 150]])))
        one.speed[:, 3] = 0  # the noise is in proportion to the height, which changes otherwise
    filters[0].predict(0.2)
    filters[1].predict(0.1)
    filters[1].predict(0.1)
    np.testing.assert_allclose(filters[0].value, filters[1].value)
    for one in filters:
        one.correct(np.array([0]), to_state(np.array([[40.0, 0, 90, 150]])))
    np.testing.assert_allclose(filters[0].value, filters[1].value)
    np.testing.assert_allclose(filters[0].speed, filters[1].speed)


@pytest.mark.parametrize("kept", [[True, False, True], [False, False, False]])
def test_tracks_are_forgotten(kept):
    one = BoxFilter()
    boxes = np.array([[0.0, 0, 5, 10], [10, 0, 15, 10], [20, 0, 25, 10]])
    one.add(to_state(boxes))
    one.keep(np.array(kept))
    np.testing.assert_allclose(one.boxes(), boxes[kept])
