// Package driver is what the drivers of Go's clients share: commands off standard input, answers to
// standard output, as ../../README.md has them.
package driver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
)

// Header is a pair on the wire: its name and its value.
type Header struct {
	Name  string
	Value []byte
}

func (h Header) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]any{h.Name, h.Value})
}

func (h *Header) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[2]any{&h.Name, &h.Value})
}

// Record is one to produce, where Partition and Timestamp may be missing, or one that was read.
type Record struct {
	Partition *int32   `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []Header `json:"headers"`
}

// Place is a committed offset, or none where it is nil.
type Place struct {
	Partition int32
	Offset    *int64
	Metadata  string
}

func (p Place) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]any{p.Partition, p.Offset, p.Metadata})
}

func (p *Place) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[3]any{&p.Partition, &p.Offset, &p.Metadata})
}

// Command has the fields of all commands.
type Command struct {
	Do          string
	Servers     string
	Topic       string
	Records     []Record
	Acks        string
	Codec       string
	Idempotence bool
	Offsets     [][2]int64
	Count       int
	BytesMax    int32 `json:"bytes_max"`
	Partition   int32
	Times       []int64
	Group       string
	Topics      []string
	Assignor    string
	Instance    string
	Partitions  []int32
	Places      []Place
	Configs     map[string]string
	Name, Value string
	Told        <-chan *Command `json:"-"`
}

// BatchMax is what a batch usually has at most, or enough for the largest record, as it is for the
// server to refuse one.
func (c *Command) BatchMax() int {
	size := 1 << 19
	for _, r := range c.Records {
		size = max(size, 2*len(r.Value))
	}
	return size
}

// Result is where a record went, or Kafka's number of the error.
type Result struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     *int16 `json:"error,omitempty"`
}

// Answer is what is said to a command.
type Answer map[string]any

// Offsets answers with a partition's ends and with what was found by time; -1 is nothing.
func Offsets(begin, end int64, found []int64) Answer {
	times := make([]*int64, len(found))
	for i := range found {
		if found[i] >= 0 {
			times[i] = &found[i]
		}
	}
	return Answer{"begin": begin, "end": end, "times": times}
}

// Say writes one line to standard output.
func Say(answer Answer) {
	text, err := json.Marshal(answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}

// Assigned tells the partitions that a member of a group has.
func Assigned(topics map[string][]int32) {
	pairs := [][2]any{}
	for topic, partitions := range topics {
		for _, partition := range partitions {
			pairs = append(pairs, [2]any{topic, partition})
		}
	}
	Say(Answer{"assigned": pairs})
}

// read hands on one command after the other.
func read(to chan<- *Command) {
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	for decoder.More() {
		command := Command{Acks: "all", Codec: "none", Assignor: "range", BytesMax: 1 << 20}
		if err := decoder.Decode(&command); err != nil {
			log.Fatal(err)
		}
		to <- &command
	}
	close(to)
}

// Serve answers commands until there are no more. code tells Kafka's number of an error, and false
// for another kind of failure, which ends the driver. A command that goes on until there is another
// takes that from Told.
func Serve(commands map[string]func(*Command) (Answer, error), code func(error) (int16, bool)) {
	told := make(chan *Command)
	go read(told)
	for command := range told {
		command.Told = told
		answer, err := commands[command.Do](command)
		if err != nil {
			number, known := code(err)
			if !known {
				log.Fatal(err)
			}
			answer = Answer{"error": number, "detail": err.Error()}
		} else if answer == nil {
			answer = Answer{}
		}
		Say(answer)
	}
}
