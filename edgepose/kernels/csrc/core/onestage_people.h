// onestage_people for one candidate or one pair of them: who is a person, who overlaps a better one, and where they are
// in the image. edgepose/codecs/onestage.py is the definition; both compute the overlap in the same order.
#pragma once

#include "heatmap_peak.h"

namespace ep {

enum { kBoxColumns = 5 };  // x0, y0, x1, y1, score; then x, y, score of each joint

struct Corners {
    float x0, y0, x1, y1;
};

template <class T>
EP_HD Corners corners(const T* row) {
    return {load(row), load(row + 1), load(row + 2), load(row + 3)};
}

template <class T>
EP_HD float person_score(const T* row) {
    return load(row + 4);
}

// The larger of two, and a NaN if there is one, as numpy.maximum gives.
EP_HD float maximum(float a, float b) { return a > b || a != a ? a : b; }
EP_HD float minimum(float a, float b) { return a < b || a != a ? a : b; }

EP_HD float length(float low, float high) { return maximum(high - low, 0.0f); }

EP_HD float area(Corners box) { return length(box.x0, box.x1) * length(box.y0, box.y1); }

// Whether the intersection over union is above the threshold.
EP_HD bool overlap(Corners a, Corners b, float threshold) {
    const float width = length(maximum(a.x0, b.x0), minimum(a.x1, b.x1));
    const float height = length(maximum(a.y0, b.y0), minimum(a.y1, b.y1));
    const float shared = width * height, both = area(a) + area(b) - shared;
    return shared > threshold * both;
}

// Writes a part of a candidate to `person`, moved to the image: part 0 is the first corner of its box, part 1 the
// second corner and the score behind it, part 2 + k is joint k.
template <class T>
EP_HD void put_part(const T* row, const double* affine, int part, float* person) {
    const int at = part < 2 ? 2 * part : kBoxColumns + 3 * (part - 2);
    const Joint placed = moved(affine, {load(row + at), load(row + at + 1), part == 0 ? 0.0f : load(row + at + 2)});
    person[at] = placed.x;
    person[at + 1] = placed.y;
    if (part > 0) person[at + 2] = placed.score;
}

EP_HD int parts(int columns) { return 2 + (columns - kBoxColumns) / 3; }

}  // namespace ep
