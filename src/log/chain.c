#include "log/chain.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

/* The happy path: frame after frame, each held against its checksums and against the one before
 * it, goes over with the uuid of another directory and with the CRC that its forerunner has got
 * by that; so what is written is a chain that a start follows like any other.  Failure modes: a
 * frame that does not fit ends the chain, and whoever called compares how far it came with how
 * far it has to come. Nothing is repaired here. */
/* No file of the log is longer, and no frame spans two. */
#define LOG_CHAIN_FRAME_MAX (UINT64_C(256) << 20)

void log_chain_done(struct log_chain *chain)
{
    ASSERT(chain->data || chain->capacity == 0);
    mem_free(chain->data);
    chain->data = NULL;
    chain->capacity = 0;
}

/* ERR_END where the file is shorter. */
static err_t read_bytes(struct io_file *file, uint8_t *data, uint64_t size, uint64_t offset)
{
    size_t got = 0;
    ASSERT(size % IO_BLOCK == 0 && offset % IO_BLOCK == 0);
    TRY(io_file_read(file, data, (size_t)size, offset, &got));
    return err_make(got < size ? ERR_END : ERR_OK);
}

/* Files of the log are used again with what was in them: a whole frame of an earlier use, or of
 * another directory, is none of this chain. */
static bool belongs(const struct log_chain *chain, const struct log_frame_header *header,
                    uint64_t number, uint64_t offset)
{
    ASSERT(offset % IO_BLOCK == 0);
    return header->lsn > 0 && uuid_equal(&header->uuid, &chain->from) &&
           header->file_number == number && header->block == offset / IO_BLOCK;
}

static bool goes_on(const struct log_chain *chain, const struct log_frame_header *header,
                    uint64_t lsn_max)
{
    const struct log_frame_header *last = &chain->last;
    ASSERT(header->lsn > 0);
    /* Nothing is known of what is before the first. */
    if (header->lsn > lsn_max || last->lsn == 0)
        return header->lsn <= lsn_max;
    return header->lsn == last->lsn + 1 && header->previous_crc == last->header_crc;
}

/* Room for `size` bytes, and the first block again. */
static err_t reserve(struct log_chain *chain, uint64_t size)
{
    if (size <= chain->capacity)
        return err_ok();
    ASSERT(size % IO_BLOCK == 0);
    uint8_t *data = mem_alloc_aligned(IO_BLOCK, (size_t)size);
    if (!data)
        return err_make(ERR_MEMORY);
    mem_free(chain->data);
    chain->data = data;
    chain->capacity = (size_t)size;
    return err_ok();
}

static err_t first_at(const struct log_chain *chain, struct io_file *file, uint8_t *block,
                      uint64_t number, uint64_t offset, struct log_frame_header *out)
{
    struct log_frame_header header = {0};
    *out = header;
    err_t err = read_bytes(file, block, IO_BLOCK, offset);
    if (err_is_ok(err))
        err = log_frame_decode(slice_make(block, LOG_FRAME_HEADER_SIZE), &header);
    /* The end of the frames is where something else lies, or nothing. */
    if (err_is(err, ERR_END) || err_is(err, ERR_CORRUPT))
        return err_ok();
    TRY(err);
    ASSERT(header.payload_size <= UINT32_MAX);
    if (belongs(chain, &header, number, offset))
        *out = header;
    return err_ok();
}

err_t log_chain_first(const struct log_chain *chain, struct io_file *file, uint64_t number,
                      struct log_frame_header *out)
{
    uint8_t *block = mem_alloc_aligned(IO_BLOCK, IO_BLOCK);
    ASSERT(number > 0);
    if (!block)
        return err_make(ERR_MEMORY);
    err_t err = first_at(chain, file, block, number, 0, out);
    mem_free(block);
    return err;
}

static err_t write_frame(struct log_chain *chain, struct io_file *to,
                         const struct log_frame_header *header, uint64_t size, uint64_t offset,
                         uint32_t *crc)
{
    struct log_frame_header written = *header;
    bool first = chain->last.lsn == 0;
    ASSERT(header->lsn == chain->last.lsn + 1 || first);
    written.uuid = chain->to;
    if (!first)
        written.previous_crc = chain->last_crc;
    log_frame_encode(&written, chain->data);
    *crc = crc32c(*crc, chain->data, (size_t)size);
    if (to) {
        TRY(io_file_write(to, chain->data, (size_t)size, offset));
        TRY(log_copy_wrote(chain->copy, to, size));
    }
    chain->last = *header;
    chain->last_crc = written.header_crc;
    if (header->lsn == chain->mark_lsn)
        chain->marked = written;
    return err_ok();
}

err_t log_chain_copy(struct log_chain *chain, struct io_file *file, struct io_file *to,
                     uint64_t number, uint64_t lsn_max, uint64_t end, uint64_t *size, uint32_t *crc)
{
    uint64_t offset = 0;
    *crc = 0;
    ASSERT(number > 0);
    while (offset < end) {
        struct log_frame_header header;
        TRY(reserve(chain, IO_BLOCK));
        TRY(first_at(chain, file, chain->data, number, offset, &header));
        if (header.lsn == 0 || !goes_on(chain, &header, lsn_max))
            break;
        uint64_t frame_size = log_frame_disk_size(header.payload_size);
        if (frame_size > LOG_CHAIN_FRAME_MAX)
            break;
        TRY(reserve(chain, frame_size));
        err_t err = read_bytes(file, chain->data, frame_size, offset);
        if (err_is(err, ERR_END))
            break;
        TRY(err);
        const uint8_t *payload = chain->data + LOG_FRAME_HEADER_SIZE;
        if (crc32c(0, payload, header.payload_size) != header.payload_crc)
            break;
        TRY(write_frame(chain, to, &header, frame_size, offset, crc));
        offset += frame_size;
    }
    *size = offset;
    return err_ok();
}
