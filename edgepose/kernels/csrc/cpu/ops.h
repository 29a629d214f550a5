// The host operations: a job is filled in by bind.cpp, cut into slices by threads.h, computed by the table that
// dispatch.cpp picks. A slice touches nothing but its own part of the output.
#pragma once

#include "../core/jobs.h"

namespace ep {

// One instruction set. Slices are of: the rows of all crops; maps; joints; joints; maps; first peaks of all limbs.
struct Table {
    const char* name;
    void (*warp_normalize)(const WarpJob&, int64_t begin, int64_t end);
    void (*heatmap_peak)(const PeakJob&, int64_t begin, int64_t end, float* scratch);  // scratch [height * width]
    void (*simcc_peak)(const SimccJob&, int64_t begin, int64_t end,
                       float* scratch);  // scratch [the larger of the bins]
    void (*regress_to_image)(const RegressJob&, int64_t begin, int64_t end);
    void (*paf_peaks)(const PafPeaksJob&, int64_t begin, int64_t end, float* scratch);  // scratch [height * width]
    void (*paf_score)(const PafScoreJob&, int64_t begin, int64_t end);
};

}  // namespace ep
