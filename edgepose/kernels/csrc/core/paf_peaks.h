// paf_peaks for one pixel of a joint map: whether it is a peak, and its exact position. edgepose/codecs/affinity.py is
// the definition.
#pragma once

#include "heatmap_peak.h"

namespace ep {

// A peak is above each neighbor that comes earlier in raster order, and not below any neighbor that comes later.
template <class M>
EP_HD bool is_peak(const M& map, int x, int y) {
    const float value = map.at(y, x);
    for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
            const int row = y + dy, column = x + dx;
            if (row < 0 || row >= map.height || column < 0 || column >= map.width || (dy == 0 && dx == 0)) continue;
            const float other = map.at(row, column);
            const bool earlier = dy < 0 || (dy == 0 && dx < 0);
            if (earlier ? !(value > other) : !(value >= other)) return false;
        }
    }
    return true;
}

// The step from the middle of three values to the top of the parabola through them: at most half a pixel, and 0 if the
// values are flat.
EP_HD float parabola(float before, float peak, float after) {
    const float curve = before - 2.0f * peak + after;
    return curve < 0.0f ? clamped(0.5f * (before - after) / curve, -0.5f, 0.5f) : 0.0f;
}

template <class M>
EP_HD Joint peak_at(const M& map, int x, int y) {
    Joint joint = {static_cast<float>(x), static_cast<float>(y), map.at(y, x)};
    if (x > 0 && x < map.width - 1) joint.x += parabola(map.at(y, x - 1), joint.score, map.at(y, x + 1));
    if (y > 0 && y < map.height - 1) joint.y += parabola(map.at(y - 1, x), joint.score, map.at(y + 1, x));
    return joint;
}

}  // namespace ep
