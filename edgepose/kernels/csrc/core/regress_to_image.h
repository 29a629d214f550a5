// regress_to_image for one joint. edgepose/codecs/regression.py is the definition.
#pragma once

#include "heatmap_peak.h"

namespace ep {

// `affine` maps the network's coordinates to the image. `channels` is 2, or 3 with a score.
template <class T>
EP_HD Joint regressed(const T* coords, int channels, const double* affine) {
    return moved(affine, {load(coords), load(coords + 1), channels == 3 ? load(coords + 2) : 1.0f});
}

}  // namespace ep
