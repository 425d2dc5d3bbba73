// Sarama.
package main

import (
	"errors"
	"time"

	"clients/driver"

	"github.com/IBM/sarama"
)

const sizeMax = 64 << 20

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	"zstd": sarama.CompressionZSTD,
}

var acks = map[string]sarama.RequiredAcks{
	"all": sarama.WaitForAll, "1": sarama.WaitForLocal, "0": sarama.NoResponse}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ApiVersionsRequest = true
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = sizeMax
	config.Producer.Partitioner = newPartitioner
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	return config
}

func code(err error) (int16, bool) {
	var known sarama.KError
	if errors.As(err, &known) {
		return int16(known), true
	}
	return 0, false
}

// partitioner takes the partition that a record says, else one by its key.
type partitioner struct{ sarama.Partitioner }

func newPartitioner(topic string) sarama.Partitioner {
	return partitioner{sarama.NewHashPartitioner(topic)}
}

func (p partitioner) Partition(m *sarama.ProducerMessage, count int32) (int32, error) {
	if r := m.Metadata.(*driver.Record); r.Partition != nil {
		return *r.Partition, nil
	}
	return p.Partitioner.Partition(m, count)
}

func encoder(data []byte) sarama.Encoder {
	if data == nil {
		return nil
	}
	return sarama.ByteEncoder(data)
}

func toMessage(topic string, r *driver.Record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Key: encoder(r.Key), Value: encoder(r.Value),
		Metadata: r}
	if r.Timestamp > 0 {
		m.Timestamp = time.UnixMilli(r.Timestamp)
	}
	for _, header := range r.Headers {
		m.Headers = append(m.Headers,
			sarama.RecordHeader{Key: []byte(header.Name), Value: header.Value})
	}
	return m
}

func produce(c *driver.Command) (driver.Answer, error) {
	config := config()
	config.Producer.RequiredAcks = acks[c.Acks]
	config.Producer.Compression = codecs[c.Codec]
	config.Producer.Idempotent = c.Idempotence
	if c.Idempotence {
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer([]string{c.Servers}, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, len(c.Records))
	for i := range c.Records {
		messages[i] = toMessage(c.Topic, &c.Records[i])
	}
	failed := make(map[*sarama.ProducerMessage]int16)
	var errs sarama.ProducerErrors
	if err := producer.SendMessages(messages); errors.As(err, &errs) {
		for _, failure := range errs {
			number, known := code(failure.Err)
			if !known {
				return nil, failure.Err
			}
			failed[failure.Msg] = number
		}
	} else if err != nil {
		return nil, err
	}
	results := make([]driver.Result, len(messages))
	for i, m := range messages {
		results[i] = driver.Result{Partition: m.Partition, Offset: m.Offset}
		if number, bad := failed[m]; bad {
			results[i].Error = &number
		}
	}
	return driver.Answer{"results": results}, nil
}

func fromMessage(m *sarama.ConsumerMessage) driver.Record {
	record := driver.Record{Partition: &m.Partition, Offset: m.Offset,
		Timestamp: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value, Headers: []driver.Header{}}
	for _, header := range m.Headers {
		record.Headers = append(record.Headers,
			driver.Header{Name: string(header.Key), Value: header.Value})
	}
	return record
}

// forward hands on what comes until one of the ends is closed.
func forward[T any](from <-chan T, to chan<- T, done <-chan struct{}) {
	for one := range from {
		select {
		case to <- one:
		case <-done:
			return
		}
	}
}

func consume(c *driver.Command) (driver.Answer, error) {
	consumer, err := sarama.NewConsumer([]string{c.Servers}, config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	read := make(chan *sarama.ConsumerMessage)
	failed := make(chan *sarama.ConsumerError)
	done := make(chan struct{})
	defer close(done)
	for _, pair := range c.Offsets {
		partition, err := consumer.ConsumePartition(c.Topic, int32(pair[0]), pair[1])
		if err != nil {
			return nil, err
		}
		defer partition.AsyncClose()
		go forward(partition.Messages(), read, done)
		go forward(partition.Errors(), failed, done)
	}
	found := []driver.Record{}
	deadline := time.After(30 * time.Second)
	for len(found) < c.Count {
		select {
		case m := <-read:
			found = append(found, fromMessage(m))
		case err := <-failed:
			return nil, err
		case <-deadline:
			return driver.Answer{"records": found}, nil
		}
	}
	return driver.Answer{"records": found}, nil
}

func offsets(c *driver.Command) (driver.Answer, error) {
	client, err := sarama.NewClient([]string{c.Servers}, config())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	asked := append([]int64{sarama.OffsetOldest, sarama.OffsetNewest}, c.Times...)
	for i, time := range asked {
		if asked[i], err = client.GetOffset(c.Topic, c.Partition, time); err != nil {
			return nil, err
		}
	}
	return driver.Offsets(asked[0], asked[1], asked[2:]), nil
}

func main() {
	driver.Serve(map[string]func(*driver.Command) (driver.Answer, error){
		"produce": produce, "consume": consume, "offsets": offsets}, code)
}
