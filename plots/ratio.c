#include "plots/ratio.h"

#include <math.h>

#include "plots/html.h"

bool ratio_is_tied(struct paired_ratio ratio)
{
    return ratio.count > 0 && ratio.ci.lo <= 1 && ratio.ci.hi >= 1;
}

void ratio_write(FILE *out, struct paired_ratio ratio)
{
    const int decimals = ratio.ratio < 10 ? 2 : 1;
    html_number(out, ratio.ratio, decimals);
    if (!isfinite(ratio.ratio))
        return;
    fputs(" <small>", out);
    if (ratio.count == 0) {
        fputs("unpaired", out);
    } else {
        fputs("[", out);
        html_number(out, ratio.ci.lo, decimals);
        fputs(", ", out);
        html_number(out, ratio.ci.hi, decimals);
        fputs("]", out);
    }
    fputs("</small>", out);
}
