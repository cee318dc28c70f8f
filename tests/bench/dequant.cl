/* The work of kernels/nf4_dequant/lut_shared.cu in OpenCL, for oclgrind: 8 weights a work-item, the codebook in local
 * memory. */
__constant uint codebook_bits[16] = {
    0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0x00000000,
    0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000};

__kernel void dequant(__global const uint *packed, __global const float *absmax, __global uint4 *out)
{
    __local float codebook[16];
    if (get_local_id(0) < 16)
        codebook[get_local_id(0)] = as_float(codebook_bits[get_local_id(0)]);
    barrier(CLK_LOCAL_MEM_FENCE);
    size_t i = get_global_id(0);
    uint bytes = packed[i];
    float scale = absmax[i / 8];
    uint pairs[4];
    for (int j = 0; j < 4; j++) {
        uint half_words[2];
        for (int h = 0; h < 2; h++) {
            uint code = bytes >> (8 * j + (h ? 0 : 4)) & 15;
            uint u = as_uint(codebook[code] * scale);
            half_words[h] = (u + 0x7fff + (u >> 16 & 1)) >> 16;
        }
        pairs[j] = half_words[0] | half_words[1] << 16;
    }
    out[i] = (uint4)(pairs[0], pairs[1], pairs[2], pairs[3]);
}
