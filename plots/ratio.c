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
    if (ratio.count == 0)
        fputs(" <small>unpaired</small>", out);
    else
        html_print(out, " <small>[%.*f, %.*f]</small>", decimals, ratio.ci.lo, decimals, ratio.ci.hi);
}
