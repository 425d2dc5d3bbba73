// franz-go.
package main

import (
	"context"
	"errors"
	"log"
	"slices"
	"time"

	"clients/driver"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const sizeMax = 64 << 20

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

var acks = map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}

func connect(c *driver.Command, options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(c.Servers),
		kgo.BrokerMaxReadBytes(2*sizeMax), kgo.BrokerMaxWriteBytes(2*sizeMax))...)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func code(err error) (int16, bool) {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code, true
	}
	return 0, false
}

// partitioner takes the partition that a record says, else one by its key as Kafka does.
type partitioner struct{ byKey kgo.Partitioner }
type topicPartitioner struct{ kgo.TopicPartitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.byKey.ForTopic(topic)}
}

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

func toRecord(topic string, r *driver.Record) *kgo.Record {
	record := &kgo.Record{Topic: topic, Partition: -1, Key: r.Key, Value: r.Value}
	if r.Partition != nil {
		record.Partition = *r.Partition
	}
	if r.Timestamp > 0 {
		record.Timestamp = time.UnixMilli(r.Timestamp)
	}
	for _, header := range r.Headers {
		record.Headers = append(record.Headers,
			kgo.RecordHeader{Key: header.Name, Value: header.Value})
	}
	return record
}

func produce(c *driver.Command) (driver.Answer, error) {
	options := []kgo.Opt{
		kgo.RequiredAcks(acks[c.Acks]), kgo.ProducerBatchCompression(codecs[c.Codec]),
		kgo.ProducerBatchMaxBytes(int32(c.BatchMax())), kgo.MaxBufferedRecords(1 << 20),
		kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.UnknownTopicRetries(1),
	}
	if !c.Idempotence {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client := connect(c, options...)
	defer client.Close()
	records := make([]*kgo.Record, len(c.Records))
	numbers := make(map[*kgo.Record]int)
	for i := range c.Records {
		records[i] = toRecord(c.Topic, &c.Records[i])
		numbers[records[i]] = i
	}
	ctx, cancel := soon()
	defer cancel()
	results := make([]driver.Result, len(records))
	for _, done := range client.ProduceSync(ctx, records...) {
		result := driver.Result{Partition: done.Record.Partition, Offset: done.Record.Offset}
		if done.Err != nil {
			number, known := code(done.Err)
			if !known {
				return nil, done.Err
			}
			result.Error = &number
		}
		results[numbers[done.Record]] = result
	}
	return driver.Answer{"results": results}, nil
}

func fromRecord(r *kgo.Record) driver.Record {
	record := driver.Record{Partition: &r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Headers: []driver.Header{}}
	for _, header := range r.Headers {
		record.Headers = append(record.Headers, driver.Header{Name: header.Key, Value: header.Value})
	}
	return record
}

func consume(c *driver.Command) (driver.Answer, error) {
	from := make(map[int32]kgo.Offset)
	for _, pair := range c.Offsets {
		from[int32(pair[0])] = kgo.NewOffset().At(pair[1])
	}
	client := connect(c, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic: from}),
		kgo.FetchMaxPartitionBytes(c.BytesMax))
	defer client.Close()
	ctx, cancel := soon()
	defer cancel()
	found := []driver.Record{}
	for len(found) < c.Count && ctx.Err() == nil {
		fetches := client.PollRecords(ctx, c.Count-len(found))
		for _, failed := range fetches.Errors() {
			if _, known := code(failed.Err); known {
				return nil, failed.Err
			}
		}
		fetches.EachRecord(func(r *kgo.Record) { found = append(found, fromRecord(r)) })
	}
	return driver.Answer{"records": found}, nil
}

func offsets(c *driver.Command) (driver.Answer, error) {
	admin := kadm.NewClient(connect(c))
	defer admin.Close()
	ctx, cancel := soon()
	defer cancel()
	var failed error
	only := func(listed kadm.ListedOffsets, err error) int64 {
		at, _ := listed.Lookup(c.Topic, c.Partition)
		failed = errors.Join(failed, err, at.Err)
		return at.Offset
	}
	begin := only(admin.ListStartOffsets(ctx, c.Topic))
	end := only(admin.ListEndOffsets(ctx, c.Topic))
	found := make([]int64, len(c.Times))
	for i, time := range c.Times {
		// Where there is none, kadm answers with the end.
		if found[i] = only(admin.ListOffsetsAfterMilli(ctx, time, c.Topic)); found[i] == end {
			found[i] = -1
		}
	}
	return driver.Offsets(begin, end, found), failed
}

var balancers = map[string]kgo.GroupBalancer{
	"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
	"sticky": kgo.StickyBalancer(), "cooperative": kgo.CooperativeStickyBalancer(),
}

// holding keeps what is assigned to a member, and tells it after each change.
type holding map[string][]int32

func (h holding) add(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	for topic, partitions := range added {
		h[topic] = append(h[topic], partitions...)
	}
	driver.Assigned(h)
}

func (h holding) remove(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	for topic, partitions := range lost {
		h[topic] = slices.DeleteFunc(h[topic],
			func(p int32) bool { return slices.Contains(partitions, p) })
	}
	driver.Assigned(h)
}

func member(c *driver.Command) (driver.Answer, error) {
	held := holding{}
	options := []kgo.Opt{
		kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topics...), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(balancers[c.Assignor]),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsAssigned(held.add),
		kgo.OnPartitionsRevoked(held.remove), kgo.OnPartitionsLost(held.remove),
	}
	if c.Instance != "" {
		options = append(options, kgo.InstanceID(c.Instance))
	}
	client := connect(c, options...)
	defer client.CloseAllowingRebalance()
	for {
		select {
		case <-c.Told:
			return driver.Answer{"left": true}, nil
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		records := client.PollFetches(ctx).Records()
		cancel()
		if len(records) > 0 {
			read := []driver.Record{}
			for _, r := range records {
				read = append(read, fromRecord(r))
			}
			driver.Say(driver.Answer{"records": read})
			if number, known := code(client.CommitRecords(context.Background(), records...)); known {
				driver.Say(driver.Answer{"refused": number})
			}
		}
		client.AllowRebalance()
	}
}

func commit(c *driver.Command) (driver.Answer, error) {
	admin := kadm.NewClient(connect(c))
	defer admin.Close()
	ctx, cancel := soon()
	defer cancel()
	var places kadm.Offsets
	for _, place := range c.Places {
		places.Add(kadm.Offset{Topic: c.Topic, Partition: place.Partition, At: *place.Offset,
			LeaderEpoch: -1, Metadata: place.Metadata})
	}
	done, err := admin.CommitOffsets(ctx, c.Group, places)
	return nil, errors.Join(err, done.Error())
}

func committed(c *driver.Command) (driver.Answer, error) {
	admin := kadm.NewClient(connect(c))
	defer admin.Close()
	ctx, cancel := soon()
	defer cancel()
	found, err := admin.FetchOffsets(ctx, c.Group)
	if err := errors.Join(err, found.Error()); err != nil {
		return nil, err
	}
	places := []driver.Place{}
	for _, partition := range c.Partitions {
		place := driver.Place{Partition: partition}
		if at, there := found.Lookup(c.Topic, partition); there && at.At >= 0 {
			place.Offset, place.Metadata = &at.At, at.Metadata
		}
		places = append(places, place)
	}
	return driver.Answer{"offsets": places}, nil
}

// asAdmin connects and hands on one answer's error.
func asAdmin(work func(context.Context, *kadm.Client, *driver.Command) (driver.Answer, error)) func(
	*driver.Command) (driver.Answer, error) {
	return func(c *driver.Command) (driver.Answer, error) {
		admin := kadm.NewClient(connect(c))
		defer admin.Close()
		ctx, cancel := soon()
		defer cancel()
		return work(ctx, admin, c)
	}
}

func create(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	configs := make(map[string]*string)
	for name, value := range c.Configs {
		configs[name] = &value
	}
	_, err := admin.CreateTopic(ctx, int32(c.Count), 1, configs, c.Topic)
	return nil, err
}

func grow(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	done, err := admin.UpdatePartitions(ctx, c.Count, c.Topic)
	return nil, errors.Join(err, done.Error())
}

func trim(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	var places kadm.Offsets
	for _, pair := range c.Offsets {
		places.AddOffset(c.Topic, int32(pair[0]), pair[1], -1)
	}
	done, err := admin.DeleteRecords(ctx, places)
	return nil, errors.Join(err, done.Error())
}

func remove(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	_, err := admin.DeleteTopic(ctx, c.Topic)
	return nil, err
}

func configs(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	found, err := admin.DescribeTopicConfigs(ctx, c.Topic)
	if err != nil {
		return nil, err
	}
	configs := make(map[string]*string)
	for _, config := range found[0].Configs {
		configs[config.Key] = config.Value
	}
	return driver.Answer{"configs": configs}, found[0].Err
}

func alter(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Name, Value: &c.Value}
	done, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, c.Topic)
	if err != nil {
		return nil, err
	}
	return nil, done[0].Err
}

func topics(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	found, err := admin.ListTopics(ctx)
	counts := make(map[string]int)
	for _, topic := range found {
		counts[topic.Topic] = len(topic.Partitions)
	}
	return driver.Answer{"topics": counts}, err
}

func groups(ctx context.Context, admin *kadm.Client, c *driver.Command) (driver.Answer, error) {
	found, err := admin.ListGroups(ctx)
	return driver.Answer{"groups": found.Groups()}, err
}

func main() {
	driver.Serve(map[string]func(*driver.Command) (driver.Answer, error){
		"produce": produce, "consume": consume, "offsets": offsets,
		"member": member, "commit": commit, "committed": committed,
		"create": asAdmin(create), "grow": asAdmin(grow), "trim": asAdmin(trim),
		"delete": asAdmin(remove), "configs": asAdmin(configs), "alter": asAdmin(alter),
		"topics": asAdmin(topics), "groups": asAdmin(groups)}, code)
}
