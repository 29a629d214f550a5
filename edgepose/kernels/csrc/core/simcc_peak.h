// simcc_peak for one joint: the highest bin on each axis in image coordinates, and the lower of the two heights.
// edgepose/codecs/simcc.py is the definition.
#pragma once

#include "heatmap_peak.h"

namespace ep {

// `affine` maps bins to the image. The score of a joint with an overflowed axis is that axis's NaN or infinity.
EP_HD Joint simcc_joint(Peak x, Peak y, const double* affine) {
    float score = smaller(x.value, y.value);
    if (!finite(x.value)) score = x.value;
    if (!finite(y.value)) score = y.value;
    return moved(affine, {static_cast<float>(x.index), static_cast<float>(y.index), score});
}

}  // namespace ep
