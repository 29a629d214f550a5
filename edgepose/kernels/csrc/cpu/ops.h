// The host operations. bind.cpp fills in a job, threads.h splits it into slices, and the table that dispatch.cpp
// selects computes a slice. A slice writes only its own part of the output.
#pragma once

#include "../core/jobs.h"

namespace ep {

// The operations for one instruction set. Slices range over, in this order: the rows of all crops; maps; joints;
// joints; maps; first peaks of all limbs; images.
struct Table {
    const char* name;
    void (*warp_normalize)(const WarpJob&, int64_t begin, int64_t end);
    void (*heatmap_peak)(const PeakJob&, int64_t begin, int64_t end, float* scratch);  // scratch [height * width]
    void (*simcc_peak)(const SimccJob&, int64_t begin, int64_t end,
                       float* scratch);  // scratch [the larger of the bins]
    void (*regress_to_image)(const RegressJob&, int64_t begin, int64_t end);
    void (*paf_peaks)(const PafPeaksJob&, int64_t begin, int64_t end, float* scratch);  // scratch [height * width]
    void (*paf_score)(const PafScoreJob&, int64_t begin, int64_t end);
    void (*onestage_people)(const OnestageJob&, int64_t begin, int64_t end,
                            int* scratch);  // scratch [candidates + limit]
};

}  // namespace ep
