#pragma once

/*
 * SHA-256 (FIPS 180-4), for fingerprints that other programs can make too. Pure.
 */

#include "base/slice.h"

#define SHA256_SIZE 32u
/* As hexadecimal digits in lower case, and a zero. */
#define SHA256_TEXT_SIZE (2 * SHA256_SIZE + 1)

void sha256(struct slice data, uint8_t out[static SHA256_SIZE]);
/* The same as text, as sha256sum prints it. */
void sha256_text(struct slice data, char out[static SHA256_TEXT_SIZE]);
