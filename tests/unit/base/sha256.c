#include "base/sha256.h"

#include "lib/unit.h"

static void expect(struct slice data, const char *digest)
{
    char text[SHA256_TEXT_SIZE];
    sha256_text(data, text);
    assert_string_equal(text, digest);
}

/* NIST's examples, and what sha256sum says to lengths on both sides of where padding takes another
 * block. */
static void digests_are_those_of_the_standard(void **state)
{
    (void)state;
    expect(SLICE_LITERAL(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(SLICE_LITERAL("abc"),
           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(SLICE_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void every_length_around_a_block_is_padded(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *digest;
    } cases[] = {
        {1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
        {54, "a3f01b6939256127582ac8ae9fb47a382a244680806a3f613a118851c1ca1d47"},
        {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
        {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
        {119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
        {120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
        {128, "6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e"},
        {200, "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5"},
    };
    uint8_t data[200];
    memset(data, 'a', sizeof(data));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(slice_make(data, cases[i].size), cases[i].digest);
}

static void a_million_bytes(void **state)
{
    (void)state;
    uint8_t *data = malloc(1000000);
    assert_non_null(data);
    memset(data, 'a', 1000000);
    expect(slice_make(data, 1000000),
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(every_length_around_a_block_is_padded),
        cmocka_unit_test(a_million_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
