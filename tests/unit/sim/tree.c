#include "sim/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"

#define SEEDS 300u

static struct sim_tree tree_new(uint64_t seed)
{
    struct sim_tree tree;
    assert_true(err_is_ok(sim_tree_init(&tree, seed)));
    return tree;
}

static struct sim_place at(struct sim_tree *tree, const char *path)
{
    struct sim_place place;
    assert_true(err_is_ok(sim_tree_find(tree, path, &place)));
    return place;
}

static struct sim_node *make(struct sim_tree *tree, const char *path, enum io_kind kind)
{
    struct sim_place place = at(tree, path);
    assert_true(err_is_ok(sim_tree_make(tree, &place, kind)));
    return place.node;
}

static void take(struct sim_tree *tree, const char *path)
{
    struct sim_place place = at(tree, path);
    assert_true(err_is_ok(sim_tree_remove(tree, &place)));
}

static err_t try_move(struct sim_tree *tree, const char *from, const char *to)
{
    struct sim_place source = at(tree, from), target = at(tree, to);
    return sim_tree_rename(tree, &source, &target);
}

static void move(struct sim_tree *tree, const char *from, const char *to)
{
    assert_true(err_is_ok(try_move(tree, from, to)));
}

static void sync(struct sim_tree *tree, const char *path)
{
    assert_true(err_is_ok(sim_tree_sync(tree, at(tree, path).node)));
}

static bool is_there(struct sim_tree *tree, const char *path)
{
    struct sim_place place;
    return err_is_ok(sim_tree_find(tree, path, &place)) && place.node;
}

static void paths_lead_to_names(void **state)
{
    (void)state;
    struct sim_tree tree = tree_new(1);
    struct sim_node *d = make(&tree, "d", IO_KIND_DIRECTORY);
    struct sim_node *f = make(&tree, "/d/f", IO_KIND_FILE);
    assert_ptr_equal(at(&tree, "./d//f").node, f);
    assert_ptr_equal(at(&tree, "d/f").directory, d);
    assert_true(slice_equal_string(at(&tree, "d/f").name, "f"));
    assert_ptr_equal(at(&tree, "/").node, tree.root);
    assert_null(at(&tree, "/").directory);
    assert_null(at(&tree, "d/none").node);
    struct sim_place place;
    assert_true(err_is(sim_tree_find(&tree, "none/f", &place), ERR_NO_FILE));
    assert_true(err_is(sim_tree_find(&tree, "d/f/g", &place), ERR_NO_FILE));
    assert_true(err_is(sim_tree_find(&tree, "d/../f", &place), ERR_UNSUPPORTED));
    sim_tree_done(&tree);
}

static void names_are_moved_replaced_and_removed(void **state)
{
    (void)state;
    struct sim_tree tree = tree_new(2);
    make(&tree, "d", IO_KIND_DIRECTORY);
    struct sim_node *a = make(&tree, "a", IO_KIND_FILE);
    make(&tree, "b", IO_KIND_FILE);
    move(&tree, "a", "b");
    assert_ptr_equal(at(&tree, "b").node, a);
    assert_false(is_there(&tree, "a"));
    move(&tree, "b", "d/c");
    assert_ptr_equal(at(&tree, "d/c").node, a);
    move(&tree, "d/c", "d/c");
    move(&tree, "d", "e");
    assert_ptr_equal(at(&tree, "e/c").node, a);
    struct sim_place place = at(&tree, "e");
    assert_true(err_is(sim_tree_remove(&tree, &place), ERR_IN_USE));
    take(&tree, "e/c");
    take(&tree, "e");
    assert_false(is_there(&tree, "e"));
    place = at(&tree, "/");
    assert_true(err_is(sim_tree_remove(&tree, &place), ERR_IN_USE));
    sim_tree_done(&tree);
}

static void moves_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct sim_tree tree = tree_new(3);
    make(&tree, "d", IO_KIND_DIRECTORY);
    make(&tree, "d/e", IO_KIND_DIRECTORY);
    make(&tree, "g", IO_KIND_DIRECTORY);
    make(&tree, "f", IO_KIND_FILE);
    assert_true(err_is(try_move(&tree, "d", "d/e/d"), ERR_INVALID));
    assert_true(err_is(try_move(&tree, "f", "d"), ERR_INVALID));
    assert_true(err_is(try_move(&tree, "d", "f"), ERR_INVALID));
    assert_true(err_is(try_move(&tree, "g", "d"), ERR_IN_USE));
    assert_true(err_is(try_move(&tree, "/", "h"), ERR_INVALID));
    move(&tree, "d/e", "g");
    assert_true(is_there(&tree, "f") && is_there(&tree, "d") && is_there(&tree, "g"));
    sim_tree_done(&tree);
}

static void a_synced_name_survives_and_its_directory_must_be_synced_too(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        make(&tree, "a", IO_KIND_DIRECTORY);
        sync(&tree, "/");
        make(&tree, "a/f", IO_KIND_FILE);
        sync(&tree, "a");
        make(&tree, "b", IO_KIND_DIRECTORY);
        make(&tree, "b/f", IO_KIND_FILE);
        sync(&tree, "b");
        sim_tree_crash(&tree);
        assert_true(is_there(&tree, "a/f"));
        assert_int_equal(is_there(&tree, "b"), is_there(&tree, "b/f"));
        lost += !is_there(&tree, "b");
        sim_tree_done(&tree);
    }
    assert_true(lost > SEEDS / 4 && lost < SEEDS);
}

static void a_rename_leaves_one_of_the_two_names(void **state)
{
    (void)state;
    uint32_t moved = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        make(&tree, "a", IO_KIND_DIRECTORY);
        make(&tree, "b", IO_KIND_DIRECTORY);
        make(&tree, "a/f", IO_KIND_FILE);
        sync(&tree, "/");
        sync(&tree, "a");
        move(&tree, "a/f", "b/g");
        move(&tree, "b/g", "b/h");
        sim_tree_crash(&tree);
        int count = is_there(&tree, "a/f") + is_there(&tree, "b/g") + is_there(&tree, "b/h");
        if (count != 1)
            fail_msg("seed %zu: %d names", (size_t)seed, count);
        moved += !is_there(&tree, "a/f");
        sim_tree_done(&tree);
    }
    assert_true(moved > SEEDS / 4 && moved < SEEDS);
}

static void syncing_one_directory_of_a_rename_makes_it_durable_in_both(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        make(&tree, "a", IO_KIND_DIRECTORY);
        make(&tree, "b", IO_KIND_DIRECTORY);
        sync(&tree, "/");
        /* The creation in a has to be durable before the rename that b's sync is about. */
        make(&tree, "a/f", IO_KIND_FILE);
        move(&tree, "a/f", "b/f");
        make(&tree, "a/g", IO_KIND_FILE);
        sync(&tree, seed % 2 ? "a" : "b");
        sim_tree_crash(&tree);
        assert_true(is_there(&tree, "b/f"));
        assert_false(is_there(&tree, "a/f"));
        if (seed % 2)
            assert_true(is_there(&tree, "a/g"));
        sim_tree_done(&tree);
    }
}

static void a_replaced_file_is_the_old_or_the_new_one(void **state)
{
    (void)state;
    uint32_t fresh = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        struct sim_node *old = make(&tree, "f", IO_KIND_FILE);
        sync(&tree, "/");
        struct sim_node *new = make(&tree, "f.tmp", IO_KIND_FILE);
        move(&tree, "f.tmp", "f");
        sim_tree_crash(&tree);
        const struct sim_node *now = at(&tree, "f").node;
        assert_true(now && (now == old || now == new));
        fresh += now == new;
        sim_tree_done(&tree);
    }
    assert_true(fresh > SEEDS / 10 && fresh < SEEDS);
}

static void a_name_taken_over_never_costs_the_file_that_had_it(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        const struct sim_node *old = make(&tree, "f", IO_KIND_FILE);
        sync(&tree, "/");
        move(&tree, "f", "g");
        make(&tree, "f", IO_KIND_FILE);
        sim_tree_crash(&tree);
        assert_true(at(&tree, "f").node == old || at(&tree, "g").node == old);
        sim_tree_done(&tree);
    }
}

static void removed_names_may_come_back_until_synced(void **state)
{
    (void)state;
    uint32_t back = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        make(&tree, "a", IO_KIND_FILE);
        make(&tree, "b", IO_KIND_FILE);
        sync(&tree, "/");
        take(&tree, "a");
        sync(&tree, "/");
        take(&tree, "b");
        sim_tree_crash(&tree);
        assert_false(is_there(&tree, "a"));
        back += is_there(&tree, "b");
        sim_tree_done(&tree);
    }
    assert_true(back > SEEDS / 4 && back < SEEDS);
}

static void later_names_may_survive_earlier_ones(void **state)
{
    (void)state;
    uint32_t only_later = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        make(&tree, "a", IO_KIND_FILE);
        make(&tree, "b", IO_KIND_FILE);
        sim_tree_crash(&tree);
        only_later += is_there(&tree, "b") && !is_there(&tree, "a");
        sim_tree_done(&tree);
    }
    assert_true(only_later > 0);
}

/* Random changes; what is live is checked against what a sync and a crash leave. */
static void after_a_sync_of_everything_a_crash_changes_no_name(void **state)
{
    (void)state;
    static const char *const paths[] = {"a", "b", "d/a", "d/b", "e/a", "e/b"};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_new(seed);
        struct sim_random random = sim_random_seed(seed);
        make(&tree, "d", IO_KIND_DIRECTORY);
        make(&tree, "e", IO_KIND_DIRECTORY);
        for (size_t i = 0; i < 40; i++) {
            const char *path = paths[sim_random_below(&random, 6)];
            if (!is_there(&tree, path))
                make(&tree, path, IO_KIND_FILE);
            else if (sim_random_chance(&random, 1, 3))
                take(&tree, path);
            else
                move(&tree, path, paths[sim_random_below(&random, 6)]);
            if (sim_random_chance(&random, 1, 8))
                sync(&tree, sim_random_chance(&random, 1, 2) ? "d" : "e");
        }
        const struct sim_node *before[6];
        for (size_t i = 0; i < 6; i++)
            before[i] = at(&tree, paths[i]).node;
        sync(&tree, "d");
        sync(&tree, "e");
        sync(&tree, "/");
        assert_int_equal(tree.journal_count, 0);
        sim_tree_crash(&tree);
        for (size_t i = 0; i < 6; i++)
            if (at(&tree, paths[i]).node != before[i])
                fail_msg("seed %zu: %s", (size_t)seed, paths[i]);
        sim_tree_done(&tree);
    }
}

static void put(struct sim_tree *tree, const char *path, const char *text)
{
    struct sim_node *node = at(tree, path).node;
    assert_true(err_is_ok(sim_content_write(&node->content, &tree->store, text, strlen(text), 0)));
}

static bool holds(struct sim_tree *tree, const char *path, const char *text)
{
    char data[16];
    const struct sim_node *node = at(tree, path).node;
    size_t size = node ? sim_content_read(&node->content, data, sizeof(data), 0) : 0;
    return node && size == strlen(text) && memcmp(data, text, size) == 0;
}

/* Two durable files with a text each, which is replaced, and one without a durable name. */
static struct sim_tree tree_with_changes(uint64_t seed)
{
    struct sim_tree tree = tree_new(seed);
    make(&tree, "a", IO_KIND_FILE);
    make(&tree, "d", IO_KIND_DIRECTORY);
    make(&tree, "d/b", IO_KIND_FILE);
    put(&tree, "a", "old");
    put(&tree, "d/b", "old");
    assert_true(err_is_ok(sim_tree_sync_all(&tree)));
    assert_int_equal(tree.journal_count, 0);
    put(&tree, "a", "new");
    put(&tree, "d/b", "new");
    make(&tree, "d/c", IO_KIND_FILE);
    put(&tree, "d/c", "new");
    return tree;
}

static void a_sync_of_all_covers_every_name_and_every_byte(void **state)
{
    (void)state;
    uint32_t without = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_with_changes(seed);
        if (seed % 2 == 0)
            assert_true(err_is_ok(sim_tree_sync_all(&tree)));
        sim_tree_crash(&tree);
        bool all =
            holds(&tree, "a", "new") && holds(&tree, "d/b", "new") && holds(&tree, "d/c", "new");
        if (!all && seed % 2 == 0)
            fail_msg("seed %zu", (size_t)seed);
        without += !all;
        sim_tree_done(&tree);
    }
    assert_true(without > SEEDS / 4);
}

static void a_sync_of_all_that_is_cut_came_to_all_some_or_nothing(void **state)
{
    (void)state;
    uint32_t all = 0, none = 0, names_only = 0, one_file = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_with_changes(seed);
        sim_tree_sync_all_cut(&tree);
        bool names = tree.journal_count == 0;
        bool a = at(&tree, "a").node->content.pending_count == 0;
        bool b = at(&tree, "d/b").node->content.pending_count == 0;
        all += names && a && b;
        none += !names && !a && !b;
        names_only += names && !a && !b;
        one_file += a != b;
        /* What it came to survives. */
        assert_true(holds(&tree, "a", "new") && holds(&tree, "d/b", "new"));
        sim_tree_crash(&tree);
        assert_true(!a || holds(&tree, "a", "new"));
        assert_true(!b || holds(&tree, "d/b", "new"));
        assert_true(!names || is_there(&tree, "d/c"));
        sim_tree_done(&tree);
    }
    assert_true(all > 20 && none > 20 && names_only > 20 && one_file > 20);
}

static void after_a_failed_sync_of_all_the_next_one_proves_nothing(void **state)
{
    (void)state;
    uint32_t durable = 0, evicted = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_tree tree = tree_with_changes(seed);
        sim_tree_sync_all_failed(&tree);
        bool cached = holds(&tree, "a", "new");
        assert_true(err_is_ok(sim_tree_sync_all(&tree)));
        sim_tree_crash(&tree);
        bool survived = holds(&tree, "a", "new");
        assert_true(survived || holds(&tree, "a", "old"));
        assert_true(cached || !survived);
        /* Names stay in line for the next. */
        assert_true(is_there(&tree, "d/c"));
        durable += survived;
        evicted += !cached;
        lost += cached && !survived;
        sim_tree_done(&tree);
    }
    assert_true(durable > 20 && evicted > 10 && lost > 10);
}

static void a_node_lives_as_long_as_somebody_holds_it(void **state)
{
    (void)state;
    struct sim_tree tree = tree_new(4);
    struct sim_node *f = sim_node_ref(make(&tree, "f", IO_KIND_FILE));
    take(&tree, "f");
    sync(&tree, "/");
    sim_tree_crash(&tree);
    assert_int_equal(f->references, 1);
    assert_true(err_is_ok(sim_content_write(&f->content, &tree.store, "x", 1, 0)));
    assert_int_equal(tree.store.page_count, 1);
    sim_node_unref(&tree, f);
    assert_int_equal(tree.store.page_count, 0);
    sim_tree_done(&tree);
}

static void an_allocation_that_fails_changes_no_name(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct sim_tree tree = tree_new(5);
        for (char name[] = "a"; name[0] <= 'p'; name[0]++)
            make(&tree, name, IO_KIND_FILE);
        mem_fail_after(n);
        struct sim_place place = at(&tree, "q");
        bool made = err_is_ok(sim_tree_make(&tree, &place, IO_KIND_FILE));
        bool moved = made && err_is_ok(try_move(&tree, "q", "r"));
        bool synced = moved && err_is_ok(sim_tree_sync(&tree, tree.root));
        bool failed = mem_alloc_count() >= n;
        mem_fail_after(0);
        assert_int_equal(synced, !failed);
        assert_int_equal(is_there(&tree, "q"), made && !moved);
        assert_int_equal(is_there(&tree, "r"), moved);
        sync(&tree, "/");
        sim_tree_crash(&tree);
        assert_int_equal(is_there(&tree, "r"), moved);
        assert_true(is_there(&tree, "a") && is_there(&tree, "p"));
        sim_tree_done(&tree);
        if (!failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead_to_names),
        cmocka_unit_test(names_are_moved_replaced_and_removed),
        cmocka_unit_test(moves_that_make_no_sense_are_refused),
        cmocka_unit_test(a_synced_name_survives_and_its_directory_must_be_synced_too),
        cmocka_unit_test(a_rename_leaves_one_of_the_two_names),
        cmocka_unit_test(syncing_one_directory_of_a_rename_makes_it_durable_in_both),
        cmocka_unit_test(a_replaced_file_is_the_old_or_the_new_one),
        cmocka_unit_test(a_name_taken_over_never_costs_the_file_that_had_it),
        cmocka_unit_test(removed_names_may_come_back_until_synced),
        cmocka_unit_test(later_names_may_survive_earlier_ones),
        cmocka_unit_test(after_a_sync_of_everything_a_crash_changes_no_name),
        cmocka_unit_test(a_sync_of_all_covers_every_name_and_every_byte),
        cmocka_unit_test(a_sync_of_all_that_is_cut_came_to_all_some_or_nothing),
        cmocka_unit_test(after_a_failed_sync_of_all_the_next_one_proves_nothing),
        cmocka_unit_test(a_node_lives_as_long_as_somebody_holds_it),
        cmocka_unit_test(an_allocation_that_fails_changes_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
