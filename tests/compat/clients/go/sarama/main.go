// Sarama.
package main

import (
	"context"
	"errors"
	"log"
	"maps"
	"slices"
	"time"

	"clients/driver"

	"github.com/IBM/sarama"
)

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
	config.Producer.Partitioner = newPartitioner
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
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
	config.Producer.MaxMessageBytes = c.BatchMax()
	config.Producer.Retry.Max = 100
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
	config := config()
	config.Consumer.Fetch.Default = c.BytesMax
	consumer, err := sarama.NewConsumer([]string{c.Servers}, config)
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

var strategies = map[string]sarama.BalanceStrategy{
	"range":      sarama.NewBalanceStrategyRange(),
	"roundrobin": sarama.NewBalanceStrategyRoundRobin(),
	"sticky":     sarama.NewBalanceStrategySticky(),
}

// handler is a member of a group through one generation after the other.
type handler struct{}

func (handler) Setup(session sarama.ConsumerGroupSession) error {
	driver.Assigned(session.Claims())
	return nil
}

func (handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (handler) ConsumeClaim(session sarama.ConsumerGroupSession,
	claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		driver.Say(driver.Answer{"records": []driver.Record{fromMessage(m)}})
		session.MarkOffset(m.Topic, m.Partition, m.Offset+1, "of a member")
		// A commit waits for the fetch that is before it on the connection.
		if len(claim.Messages()) == 0 {
			session.Commit()
		}
	}
	session.Commit()
	return nil
}

func member(c *driver.Command) (driver.Answer, error) {
	config := config()
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies =
		[]sarama.BalanceStrategy{strategies[c.Assignor]}
	config.Consumer.Group.InstanceId = c.Instance
	group, err := sarama.NewConsumerGroup([]string{c.Servers}, c.Group, config)
	if err != nil {
		return nil, err
	}
	go func() {
		for err := range group.Errors() {
			log.Print(err)
		}
	}()
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, c.Topics, handler{}); err != nil {
				log.Print(err)
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	<-c.Told
	stop()
	<-over
	return driver.Answer{"left": true}, group.Close()
}

func commit(c *driver.Command) (driver.Answer, error) {
	client, err := sarama.NewClient([]string{c.Servers}, config())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	coordinator, err := client.Coordinator(c.Group)
	if err != nil {
		return nil, err
	}
	request := &sarama.OffsetCommitRequest{Version: 7, ConsumerGroup: c.Group,
		ConsumerGroupGeneration: sarama.GroupGenerationUndefined}
	for _, place := range c.Places {
		request.AddBlockWithLeaderEpoch(c.Topic, place.Partition, *place.Offset, -1, 0,
			place.Metadata)
	}
	answer, err := coordinator.CommitOffset(request)
	if err != nil {
		return nil, err
	}
	for _, partitions := range answer.Errors {
		for _, refused := range partitions {
			if refused != sarama.ErrNoError {
				return nil, refused
			}
		}
	}
	return nil, nil
}

func committed(c *driver.Command) (driver.Answer, error) {
	admin, err := sarama.NewClusterAdmin([]string{c.Servers}, config())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	found, err := admin.ListConsumerGroupOffsets(c.Group, map[string][]int32{c.Topic: c.Partitions})
	if err != nil {
		return nil, err
	}
	places := []driver.Place{}
	for _, partition := range c.Partitions {
		place := driver.Place{Partition: partition}
		if at := found.GetBlock(c.Topic, partition); at != nil && at.Offset >= 0 {
			place.Offset, place.Metadata = &at.Offset, at.Metadata
		}
		places = append(places, place)
	}
	return driver.Answer{"offsets": places}, nil
}

func asAdmin(work func(sarama.ClusterAdmin, *driver.Command) (driver.Answer, error)) func(
	*driver.Command) (driver.Answer, error) {
	return func(c *driver.Command) (driver.Answer, error) {
		admin, err := sarama.NewClusterAdmin([]string{c.Servers}, config())
		if err != nil {
			return nil, err
		}
		defer admin.Close()
		return work(admin, c)
	}
}

func create(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	configs := make(map[string]*string)
	for name, value := range c.Configs {
		configs[name] = &value
	}
	return nil, admin.CreateTopic(c.Topic, &sarama.TopicDetail{NumPartitions: int32(c.Count),
		ReplicationFactor: 1, ConfigEntries: configs}, false)
}

func grow(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	return nil, admin.CreatePartitions(c.Topic, int32(c.Count), nil, false)
}

func trim(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	places := make(map[int32]int64)
	for _, pair := range c.Offsets {
		places[int32(pair[0])] = pair[1]
	}
	return nil, admin.DeleteRecords(c.Topic, places)
}

func remove(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	return nil, admin.DeleteTopic(c.Topic)
}

func configs(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	found, err := admin.DescribeConfig(
		sarama.ConfigResource{Type: sarama.TopicResource, Name: c.Topic})
	configs := make(map[string]string)
	for _, entry := range found {
		configs[entry.Name] = entry.Value
	}
	return driver.Answer{"configs": configs}, err
}

func alter(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	return nil, admin.IncrementalAlterConfig(sarama.TopicResource, c.Topic,
		map[string]sarama.IncrementalAlterConfigsEntry{
			c.Name: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &c.Value}}, false)
}

func topics(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	found, err := admin.ListTopics()
	counts := make(map[string]int32)
	for name, topic := range found {
		counts[name] = topic.NumPartitions
	}
	return driver.Answer{"topics": counts}, err
}

func groups(admin sarama.ClusterAdmin, c *driver.Command) (driver.Answer, error) {
	found, err := admin.ListConsumerGroups()
	return driver.Answer{"groups": slices.Collect(maps.Keys(found))}, err
}

func main() {
	driver.Serve(map[string]func(*driver.Command) (driver.Answer, error){
		"produce": produce, "consume": consume, "offsets": offsets,
		"member": member, "commit": commit, "committed": committed,
		"create": asAdmin(create), "grow": asAdmin(grow), "trim": asAdmin(trim),
		"delete": asAdmin(remove), "configs": asAdmin(configs), "alter": asAdmin(alter),
		"topics": asAdmin(topics), "groups": asAdmin(groups)}, code)
}
