/*
 * Runs a fuzz target as a test: every file of a corpus, every prefix of the small ones, then
 * mutations of them for as many rounds as said, or for some seconds. The seed is printed and taken
 * from GARNER_TEST_SEED where that is set, which replays a run (all its rounds, however long they
 * take); an input that aborts is printed in hexadecimal.
 *
 *     fuzz_<target> CORPUS_FOLDER [ROUNDS]
 *     fuzz_<target> FILE
 */

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"

#define FILES_MAX 1000
#define ROUNDS 100000
#define SECONDS_MAX 40
#define INPUT_SIZE_MAX 65536
#define PREFIXES_OF_SIZE_MAX 512

/* What runs, for the handler of SIGABRT. */
static struct slice running;

static void print_running(int number)
{
    static const char digits[] = "0123456789abcdef";
    (void)number;
    ssize_t written = write(STDERR_FILENO, "input in hexadecimal: ", 22);
    for (size_t i = 0; i < running.size && written > 0; i++) {
        char text[2] = {digits[running.data[i] >> 4], digits[running.data[i] & 15]};
        written = write(STDERR_FILENO, text, sizeof(text));
    }
    if (write(STDERR_FILENO, "\n", 1) != 1)
        _exit(1);
    /* The handler was reset on entry: returning lets abort end the process. */
}

/* In a block of exactly its size, so that the sanitizer sees a read behind the end. */
static void run(struct slice input)
{
    uint8_t *exact = malloc(input.size ? input.size : 1);
    FUZZ_EXPECT(exact);
    if (input.size > 0)
        memcpy(exact, input.data, input.size);
    running = slice_make(exact, input.size);
    FUZZ_EXPECT(LLVMFuzzerTestOneInput(exact, input.size) == 0);
    free(exact);
}

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = (*state ^ *state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static size_t below(uint64_t *state, size_t limit)
{
    return (size_t)(next_random(state) % limit);
}

/* Replaces `size` bytes at `at` by `with`. */
static void splice(struct buf *b, size_t at, size_t size, struct slice with)
{
    struct buf tail = {0};
    buf_add(&tail, b->data + at + size, b->size - at - size);
    b->size = at;
    buf_add_slice(b, with);
    buf_add_slice(b, buf_slice(&tail));
    FUZZ_EXPECT(buf_ok(b) && buf_ok(&tail));
    buf_done(&tail);
}

/* One small change: a byte is set, a bit flipped, a piece of `other` put in or over, a piece
 * removed or repeated. `b` is not empty. */
static void mutate(struct buf *b, struct slice other, uint64_t *seed)
{
    size_t at = below(seed, b->size);
    size_t size = 1 + below(seed, b->size - at);
    struct slice piece = slice_sub(other, below(seed, other.size + 1), 1 + below(seed, 16));
    uint8_t byte = (uint8_t)next_random(seed);
    switch (below(seed, 7)) {
    case 0: b->data[at] = byte; break;
    case 1: b->data[at] ^= (uint8_t)(1U << (byte & 7)); break;
    case 2: splice(b, at, 0, slice_make(&byte, 1)); break;
    case 3: splice(b, at, 0, piece); break;
    case 4: splice(b, at, size < piece.size ? size : piece.size, piece); break;
    case 5: splice(b, at, size < 8 || byte < 32 ? size : 1, slice_make(&byte, 0)); break;
    default: {
        struct buf copy = {0};
        buf_add(&copy, b->data + at, size);
        splice(b, at, 0, buf_slice(&copy));
        buf_done(&copy);
    }
    }
}

static void run_mutation(const struct buf *files, size_t count, uint64_t *seed)
{
    struct buf input = {0};
    buf_add_slice(&input, buf_slice(&files[below(seed, count)]));
    for (size_t left = 1 + below(seed, 6); left > 0 && input.size < INPUT_SIZE_MAX; left--) {
        if (input.size == 0)
            buf_add_byte(&input, (uint8_t)next_random(seed));
        mutate(&input, buf_slice(&files[below(seed, count)]), seed);
    }
    run(buf_slice(&input));
    buf_done(&input);
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    uint8_t block[4096];
    size_t size;
    while ((size = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(out, block, size);
    bool good = !ferror(file) && buf_ok(out);
    fclose(file);
    return good;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order of their names, so that a seed means the same everywhere. */
static size_t read_folder(const char *folder, struct buf *files)
{
    struct dirent **entries;
    int found = scandir(folder, &entries, NULL, by_name);
    size_t count = 0;
    for (int i = 0; i < found; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && count < FILES_MAX && read_file(path, &files[count]))
            count++;
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

static void run_corpus(const struct buf *files, size_t count)
{
    run((struct slice){NULL, 0});
    for (size_t i = 0; i < count; i++) {
        run(buf_slice(&files[i]));
        for (size_t size = 1; size < files[i].size && files[i].size <= PREFIXES_OF_SIZE_MAX; size++)
            run(slice_make(files[i].data, size));
    }
}

int main(int argc, char **argv)
{
    static struct buf files[FILES_MAX];
    const char *given = getenv("GARNER_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : ROUNDS;
    struct stat status;
    if (argc < 2 || stat(argv[1], &status) != 0) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER [ROUNDS] | FILE\n", argv[0]);
        return 2;
    }
    struct sigaction action = {.sa_handler = print_running, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGABRT, &action, NULL);
    bool folder = S_ISDIR(status.st_mode);
    size_t count = folder ? read_folder(argv[1], files) : read_file(argv[1], &files[0]);
    if (count == 0) {
        fprintf(stderr, "%s: nothing to run in %s\n", argv[0], argv[1]);
        return 1;
    }
    fprintf(stderr, "%zu files, %zu mutations, GARNER_TEST_SEED=%llu\n", count, folder ? rounds : 0,
            (unsigned long long)seed);
    run_corpus(files, folder ? count : 0);
    time_t end = given ? 0 : time(NULL) + SECONDS_MAX;
    size_t done = 0;
    for (; folder && done < rounds && (end == 0 || time(NULL) < end); done++)
        run_mutation(files, count, &seed);
    if (folder && done < rounds)
        fprintf(stderr, "%zu of them in %d s\n", done, SECONDS_MAX);
    if (!folder)
        run(buf_slice(&files[0]));
    for (size_t i = 0; i < count; i++)
        buf_done(&files[i]);
    return 0;
}
