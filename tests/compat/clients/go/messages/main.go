// Kafka's messages with random content, as franz-go encodes them: frames for message_tool.
//
// usage: messages SEED COUNT <<< "KEY FIRST LAST" lines; COUNT of each kind and version
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"math/rand"
	"os"
	"reflect"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type message interface {
	SetVersion(int16)
	AppendTo([]byte) []byte
}

// tagSince has the first version of tagged fields that kmsg sends in every version which has tags.
// A snapshot id is between the nodes of a cluster.
var tagSince = map[string]int16{
	"ProduceResponse.Brokers":                       10,
	"ProduceResponseTopicPartition.CurrentLeader":   10,
	"FetchRequest.ReplicaState":                     15,
	"FetchRequestTopicPartition.ReplicaDirectoryID": 17,
	"FetchRequestTopicPartition.HighWatermark":      18,
	"FetchResponse.Brokers":                         16,
	"FetchResponseTopicPartition.SnapshotID":        math.MaxInt16,
}

type source struct {
	*rand.Rand
	version int16
}

func (draw source) skips(in reflect.Type, field string) bool {
	return field == "Version" || field == "UnknownTags" ||
		draw.version < tagSince[in.Name()+"."+field]
}

// fill gives every field below v a random value. Null, empty, and what the field was made with are
// among them; tags that nobody knows are not, as a decoder need not keep them.
func fill(draw source, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !draw.skips(v.Type(), v.Type().Field(i).Name) {
				fill(draw, v.Field(i))
			}
		}
	case reflect.Pointer:
		if draw.Intn(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(draw, v.Elem())
		}
	case reflect.Slice:
		fillSlice(draw, v)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(draw.Intn(256)))
		}
	case reflect.String:
		v.SetString(string(make([]byte, []int{0, 1, 9, 126, 127, 300}[draw.Intn(6)])))
	case reflect.Bool:
		v.SetBool(draw.Intn(2) == 1)
	case reflect.Float64:
		v.SetFloat(draw.NormFloat64() * math.Pow(10, float64(draw.Intn(300))))
	default:
		if v.CanUint() {
			v.SetUint(draw.Uint64() >> (64 - v.Type().Bits()))
		} else if draw.Intn(4) > 0 {
			v.SetInt(int64(draw.Uint64()) >> (64 - v.Type().Bits()))
		}
	}
}

func fillSlice(draw source, v reflect.Value) {
	size := []int{-1, 0, 1, 2, 3}[draw.Intn(5)]
	if size < 0 {
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		bytes := make([]byte, size*50)
		draw.Read(bytes)
		v.SetBytes(bytes)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), size, size))
	for i := range size {
		// An element begins with its defaults, as one off the wire does.
		if element := v.Index(i).Addr(); element.MethodByName("Default").IsValid() {
			element.MethodByName("Default").Call(nil)
		}
		fill(draw, v.Index(i))
	}
}

func main() {
	seed, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	random := rand.New(rand.NewSource(seed))
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		var key, first, last int16
		if _, err := fmt.Scan(&key, &first, &last); err != nil {
			return
		}
		for version := first; version <= last; version++ {
			for n := range 2 * count {
				kind := byte(n % 2)
				var m message = kmsg.RequestForKey(key)
				if kind == 1 {
					m = kmsg.ResponseForKey(key)
				}
				fill(source{random, version}, reflect.ValueOf(m).Elem())
				m.SetVersion(version)
				frame := binary.BigEndian.AppendUint16([]byte{kind}, uint16(key))
				frame = binary.BigEndian.AppendUint16(frame, uint16(version))
				body := m.AppendTo(nil)
				frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
				out.Write(append(frame, body...))
			}
		}
	}
}
