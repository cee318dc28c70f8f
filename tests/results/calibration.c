#include "results/calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* What is written is read again, and found by all that a row is known by. Files that are wrong are tried end
 * to end (end_to_end/test_gate.py). */
TEST(calibration, what_is_written_is_read)
{
    struct calibration_row rows[2] = {{.case_text = "dequant bf16 n=1 k=2",
                                       .variant = "a",
                                       .regime = "hot",
                                       .threads = 2,
                                       .median_us = 12.5,
                                       .noise_floor = 0.004,
                                       .aa_p99 = 0.011,
                                       .detectable = 0.03,
                                       .found_5 = 1},
                                      {.case_text = "dequant bf16 n=1 k=2",
                                       .variant = "a",
                                       .regime = "cold",
                                       .threads = 2,
                                       .noise_floor = 0.1,
                                       .aa_p99 = 0.2,
                                       .detectable = NAN}};
    const struct calibration c = {.device = "a CPU",
                                  .rows = rows,
                                  .row_count = 2,
                                  .false_alarms = 1,
                                  .row_gates = 50,
                                  .rate_lower = 0.001,
                                  .rate_upper = 0.09};
    struct calibration read;
    char path[512];
    double us[2 * 3 * 4 * (1 + CALIBRATION_LEVELS)] = {0};
    json_t *environment = json_pack("{s:s, s:i, s:[i]}", "suite", "x", "cpu_count", 2, "list", 1);
    snprintf(path, sizeof path, "%s/calibration.h5", test_temporary_directory());
    ASSERT_EQ(STATUS_OK, calibration_write(path, &c, us, 3, 4, environment));
    ASSERT_EQ(STATUS_OK, calibration_read(path, &read));
    EXPECT_STREQ("a CPU", read.device);
    EXPECT_TRUE(read.false_alarms == 1 && read.row_gates == 50 && read.rate_lower == 0.001 &&
                read.rate_upper == 0.09);
    ASSERT_EQ(2, read.row_count);
    const struct calibration_row *hot = calibration_find(&read, rows[0].case_text, "a", "hot", 2);
    const struct calibration_row *cold = calibration_find(&read, rows[0].case_text, "a", "cold", 2);
    ASSERT_TRUE(hot && cold && hot != cold);
    EXPECT_TRUE(hot->median_us == 12.5 && hot->aa_p99 == 0.011 && hot->detectable == 0.03 &&
                hot->found_5 == 1);
    EXPECT_TRUE(cold->noise_floor == 0.1 && isnan(cold->detectable));
    EXPECT_TRUE(calibration_find(&read, rows[0].case_text, "a", "hot", 1) == NULL);
    EXPECT_TRUE(calibration_find(&read, rows[0].case_text, "b", "hot", 2) == NULL);
    EXPECT_TRUE(calibration_find(&read, "dequant bf16 n=1 k=3", "a", "hot", 2) == NULL);
    calibration_release(&read);
    json_decref(environment);
    EXPECT_EQ(STATUS_IO, calibration_write("/no/such/folder/c.h5", &c, us, 3, 4, json_null()));
    EXPECT_CONTAINS(status_message(), "/no/such/folder/c.h5: cannot be written");
    EXPECT_EQ(STATUS_INPUT, calibration_read("/no/such/folder/c.h5", &read));
}
