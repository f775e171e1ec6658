package main

import (
	"os"
	"path/filepath"
	"runtime"
)

// journal is the least that makes answers durable: a line of each is on disk before it is sent. All that wait share
// one sync, as at a database that commits them together.
type journal struct {
	file *os.File
	size int64
	jobs chan journalJob
}

// journalJob is a line that waits for its sync.
type journalJob struct {
	line string
	done chan error
}

// newJournal makes a journal in a folder. It ends with the process.
func newJournal(dir string) (*journal, error) {
	f, err := os.Create(filepath.Join(dir, "journal"))
	if err != nil {
		return nil, err
	}

	const waiting = 1024
	j := &journal{file: f, jobs: make(chan journalJob, waiting)}
	go j.run()

	return j, nil
}

// add returns once the line is on disk.
func (j *journal) add(line string) error {
	job := journalJob{line + "\n", make(chan error, 1)}
	j.jobs <- job

	return <-job.done
}

// run writes what waits, again and again.
func (j *journal) run() {
	for job := range j.jobs {
		batch, text := []journalJob{job}, []byte(job.line)
		runtime.Gosched() // to those that are about to queue a line

		for len(j.jobs) > 0 {
			job := <-j.jobs
			batch, text = append(batch, job), append(text, job.line...)
		}

		_, err := fdatasync(int(j.file.Fd()), text, j.size)
		j.size += int64(len(text))

		for _, job := range batch {
			job.done <- err
		}
	}
}
