#pragma once

/*
 * The inside of backups: where things lie in their folder. backup.c makes one, backup_folder.c
 * names, lists and clears, restore.c takes one back.
 */

#include "log/backup.h"
#include "log/copy.h"
#include "log/segment.h"

#define LOG_BACKUP_PATH_MAX LOG_SEGMENT_PATH_MAX
/* Of the folder's own path: names below it fit behind it. */
#define LOG_BACKUP_FOLDER_MAX 2048u

/* ERR_INVALID when the path is so long that names do not fit behind it. */
err_t log_backup_check_folder(const char *folder, struct err_text *why);
/* Where a file of the backup `name` lies. */
void log_backup_file_path(const char *folder, const char *name, const struct uuid *uuid,
                          const struct log_manifest_file *file,
                          char out[static LOG_BACKUP_PATH_MAX]);
/* The manifest of backup `name`. ERR_NO_FILE, ERR_CORRUPT, ERR_VERSION with detail. */
err_t log_backup_read_manifest(struct io_disk *disk, const char *folder, const char *name,
                               struct log_manifest *out, struct err_text *why);
/* The names of all backups, the oldest first, in an array of the caller's to be freed with
 * mem_free. */
err_t log_backup_names(struct io_disk *disk, const char *folder,
                       char (**names)[LOG_BACKUP_NAME_SIZE], size_t *count, struct err_text *why);
/* Removes backups that were not finished. */
err_t log_backup_clear_unfinished(struct io_disk *disk, const char *folder, struct err_text *why);
/* Removes shared files that no backup names. Where a backup cannot be read nothing is removed, as
 * nobody knows what it needs. */
err_t log_backup_clear_unnamed(struct io_disk *disk, const char *folder, struct err_text *why);
