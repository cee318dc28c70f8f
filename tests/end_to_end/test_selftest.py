"""`nf4bench selftest`: every fault is caught by its check, right code passes, and diagnoses name the error."""

import re

import pytest

# A part of the diagnosis that each of these must get.
DIAGNOSES = {
    "fault_wrong_codebook_digit": "wrong codebook: all are of one code",
    "fault_swapped_nibbles": "swapped nibbles",
    "fault_absmax_off_by_one": "shifted block: each has the scale of the block before",
    "fault_absmax_by_row": "blocks counted by row",
    "fault_truncates": "truncated",
    "fault_flushes_denormals": "denormals flushed to zero",
    "fault_rounds_twice": "rounded to fp16 on the way",
    "fault_positive_zero": "zeros of the other sign",
    "fault_writes_nan": "the last element differs",
    "fault_does_nothing": "not written",
    "fault_clobbers_input": "wrote to its inputs",
    "fault_constant_output": "zero where another number belongs",
    "fault_forgets_tail": "NaN where a number belongs",
    "fault_rows_beyond_first_halved": "zero where another number belongs",
    "fault_wrong_on_one_thread": "with one thread",
    "fault_cuda_swapped_nibbles": "swapped nibbles",
    "fault_cuda_missing_barrier": "nothing orders the two",
    "fault_cuda_divergent_barrier": "device_faults.cu:",
    "fault_cuda_order_of_arrival": "another schedule does not",
    "fault_cuda_does_nothing": "not written",
    "fault_cuda__gptq_missing_one": "zero points are one too small: version 1 of GPTQ stores them less 1",
    "fault_cuda__gptq_groups_in_order": "g_idx ignored",
    "fault_cuda__awq_columns_in_order": "AWQ's order of columns ignored",
}


@pytest.fixture(scope="module")
def said(nf4bench):
    return nf4bench("selftest", "--seeds", "1", "--verbose").stdout


def test_every_fault_is_caught(said):
    caught, of = map(int, re.search(r"^(\d+) of (\d+) faults caught", said, re.M).groups())
    assert caught == of >= 60
    assert len(re.findall(r"^caught ", said, re.M)) == caught
    assert "NOT SO" not in said and "skipped" not in said
    for device in ("cpu", "simt:fast", "simt:checked"):
        assert re.search(rf"^caught +\S+ +{device} ", said, re.M)


def test_right_code_passes(said):
    passed, of, false = map(int, re.search(r"^(\d+) of (\d+) runs of right.* (\d+) false alarms", said, re.M).groups())
    assert passed == of > 0 and false == 0


@pytest.mark.parametrize("fault", DIAGNOSES)
def test_the_diagnosis_names_the_error(said, fault):
    part = re.search(rf"^caught +{fault} .*\n((?:      .*\n)*)", said, re.M)
    assert part, f"{fault} is not in the output"
    assert DIAGNOSES[fault] in part[1]


def test_the_printed_list_is_what_faults_are_caught_by(nf4bench, said):
    listed = [line.split()[0] for line in nf4bench("verify", "--list-checks").stdout.splitlines()]
    caught = re.findall(r"^caught +\S+ +\S+ +\S+ +by (\S+)", said, re.M)
    # No fault of selftest ends or stops the process of a suite.
    assert sorted(listed) == sorted({*caught, "crash", "hang"})
