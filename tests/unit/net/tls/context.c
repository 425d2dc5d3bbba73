#include <unistd.h>

#include "io/uv/uv.h"
#include "unit/net/tls/fixture.h"

/* Refused with a detail that names the file and holds `words`. */
static void assert_refused(const struct net_tls_files *files, const char *name, const char *words)
{
    struct err_text why = {0};
    struct net_tls *tls = NULL;
    err_t err = net_tls_new(files, &tls, &why);
    assert_true(err_is(err, ERR_CONFIG));
    assert_null(tls);
    if (strncmp(why.text, name, strlen(name)) != 0 || !strstr(why.text, words))
        fail_msg("got \"%s\", expected %s and \"%s\"", why.text, name, words);
}

static void assert_taken(const struct net_tls_files *files)
{
    struct err_text why = {0};
    struct net_tls *tls = NULL;
    if (!err_is_ok(net_tls_new(files, &tls, &why)))
        fail_msg("%s", why.text);
    net_tls_free(&tls);
    assert_null(tls);
}

static void a_pair_is_taken_alone_and_with_its_chain(void **state)
{
    (void)state;
    struct pair ca = pair_new("authority", NULL);
    struct pair server = pair_new("localhost", &ca);
    struct net_tls_files files = pair_files(&server);
    assert_taken(&files);
    char chain[8192];
    snprintf(chain, sizeof(chain), "a comment\n%s\n%s", server.certificate_pem, ca.certificate_pem);
    files.certificate = slice_string(chain);
    assert_taken(&files);
    files.client_ca = slice_string(chain);
    assert_taken(&files);
    pair_done(&ca);
    pair_done(&server);
}

static void wrong_files_are_named_with_what_to_do(void **state)
{
    (void)state;
    struct pair server = pair_new("localhost", NULL);
    struct pair other = pair_new("other", NULL);
    const struct net_tls_files good = pair_files(&server);
    struct net_tls_files files = good;
    files.certificate = slice_string(server.key_pem);
    assert_refused(&files, "server.pem", "BEGIN CERTIFICATE");
    files.certificate = slice_make(NULL, 0);
    assert_refused(&files, "server.pem", "BEGIN CERTIFICATE");
    files = good;
    files.key = slice_string(server.certificate_pem);
    assert_refused(&files, "server.key", "BEGIN PRIVATE KEY");
    files.key = slice_string(other.key_pem);
    assert_refused(&files, "server.key", "does not belong to the certificate in server.pem");
    files = good;
    files.client_ca = SLICE_LITERAL("nobody");
    assert_refused(&files, "clients.pem", "who sign clients' certificates");
    pair_done(&server);
    pair_done(&other);
}

static void a_key_with_a_passphrase_is_not_asked_for(void **state)
{
    (void)state;
    struct pair server = pair_new("localhost", NULL);
    struct net_tls_files files = pair_files(&server);
    BIO *bio = BIO_new(BIO_s_mem());
    char secret[] = "secret";
    PEM_write_bio_PrivateKey(bio, server.key, EVP_aes_128_cbc(), (unsigned char *)secret, 6, NULL,
                             NULL);
    char *pem = fixture_pem(bio);
    files.key = slice_string(pem);
    assert_refused(&files, "server.key", "passphrase");
    free(pem);
    pair_done(&server);
}

static void weak_keys_are_refused(void **state)
{
    (void)state;
    struct pair weak = {X509_new(), EVP_RSA_gen(1024), NULL, NULL};
    X509_gmtime_adj(X509_getm_notBefore(weak.certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(weak.certificate), 3600);
    X509_set_pubkey(weak.certificate, weak.key);
    X509_sign(weak.certificate, weak.key, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, weak.certificate);
    weak.certificate_pem = fixture_pem(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, weak.key, NULL, NULL, 0, NULL, NULL);
    weak.key_pem = fixture_pem(bio);
    struct net_tls_files files = pair_files(&weak);
    assert_refused(&files, "server.pem", "2048 bits");
    pair_done(&weak);
}

/* Cut anywhere, or with any bit turned: refused or taken, and nothing else happens. */
static void damaged_files_are_refused(void **state)
{
    (void)state;
    uint64_t seed = unit_seed();
    struct pair server = pair_new("localhost", NULL);
    struct net_tls_files files = pair_files(&server);
    size_t size = files.certificate.size;
    /* Without its last lines it is none; what is behind the dashes is not part of it. */
    for (size_t cut = 0; cut + 8 < size; cut += 7) {
        files.certificate.size = cut;
        assert_refused(&files, "server.pem", "PEM");
    }
    files = pair_files(&server);
    for (size_t cut = 0; cut + 8 < files.key.size; cut += 7) {
        struct net_tls_files part = files;
        part.key.size = cut;
        assert_refused(&part, "server.key", "PEM");
    }
    for (int i = 0; i < 500; i++) {
        struct err_text why = {0};
        struct net_tls *tls = NULL;
        char *at = i % 2 ? server.key_pem : server.certificate_pem;
        at += unit_random(&seed) % strlen(at);
        char was = *at;
        *at = (char)('!' + unit_random(&seed) % 90);
        err_t err = net_tls_new(&files, &tls, &why);
        assert_true(err_is_ok(err) || (err_is(err, ERR_CONFIG) && why.text[0]));
        net_tls_free(&tls);
        *at = was;
    }
    assert_taken(&files);
    pair_done(&server);
}

static void a_chain_that_is_cut_is_refused(void **state)
{
    (void)state;
    struct pair ca = pair_new("authority", NULL);
    struct pair server = pair_new("localhost", &ca);
    struct net_tls_files files = pair_files(&server);
    char chain[8192];
    int size = snprintf(chain, sizeof(chain), "%s%s", server.certificate_pem, ca.certificate_pem);
    files.certificate = slice_make(chain, (size_t)size - 60);
    assert_refused(&files, "server.pem", "damaged");
    pair_done(&ca);
    pair_done(&server);
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void files_are_read_from_the_disk(void **state)
{
    (void)state;
    char directory[] = "/tmp/garner-tls-XXXXXX";
    char paths[3][64];
    static const char *const names[] = {"server.pem", "server.key", "clients.pem"};
    assert_non_null(mkdtemp(directory));
    for (size_t i = 0; i < 3; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", directory, names[i]);
    struct pair server = pair_new("localhost", NULL);
    struct net_tls *tls = NULL;
    struct err_text why = {0};
    struct net_tls_files files = {.certificate_name = paths[0], .key_name = paths[1]};
    put_file(paths[0], server.certificate_pem);
    /* Each that is not there is named. */
    assert_true(err_is(net_tls_read(io_uv_disk(), &files, &tls, &why), ERR_CONFIG));
    assert_non_null(strstr(why.text, "server.key"));
    put_file(paths[1], server.key_pem);
    assert_true(err_is_ok(net_tls_read(io_uv_disk(), &files, &tls, &why)));
    net_tls_free(&tls);
    files.client_ca_name = paths[2];
    assert_true(err_is(net_tls_read(io_uv_disk(), &files, &tls, &why), ERR_CONFIG));
    assert_non_null(strstr(why.text, "clients.pem"));
    put_file(paths[2], server.certificate_pem);
    assert_true(err_is_ok(net_tls_read(io_uv_disk(), &files, &tls, &why)));
    net_tls_free(&tls);
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_after(n);
        assert_true(err_is(net_tls_read(io_uv_disk(), &files, &tls, &why), ERR_MEMORY));
        mem_fail_after(0);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(unlink(paths[i]), 0);
    assert_int_equal(rmdir(directory), 0);
    pair_done(&server);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct pair server = pair_new("localhost", NULL);
    struct net_tls_files files = pair_files(&server);
    struct net_tls *tls = NULL;
    struct err_text why = {0};
    mem_fail_after(1);
    assert_true(err_is(net_tls_new(&files, &tls, &why), ERR_MEMORY));
    assert_null(tls);
    net_tls_free(&tls);
    pair_done(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_taken_alone_and_with_its_chain),
        cmocka_unit_test(wrong_files_are_named_with_what_to_do),
        cmocka_unit_test(a_key_with_a_passphrase_is_not_asked_for),
        cmocka_unit_test(weak_keys_are_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_chain_that_is_cut_is_refused),
        cmocka_unit_test(files_are_read_from_the_disk),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
