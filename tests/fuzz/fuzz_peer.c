/* Fuzzer of whole messages, read by llhttp as well: what both accept they frame alike.
 * SPDX-License-Identifier: Apache-2.0 */
/* An input is one of fuzz_head: flags, a byte that means nothing here, bytes. */
#include "fuzz.h"
#include "peer.h"

#include <stdio.h>

enum { IS_RESPONSE = 1, TO_HEAD = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer_report report;
    if (size < 2)
        return 0;
    char *bytes = fuzz_copy(data + 2, size - 2);
    bool same =
        peer_compare(slice_of(bytes, size - 2), data[0] & IS_RESPONSE, data[0] & TO_HEAD, &report);
    free(bytes);
    if (!same)
        fprintf(stderr, "%s\n", report.text);
    CHECK(same);
    return 0;
}
