import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own client; the same source runs on the jars of several versions. */
public final class Driver {
    private static final int SIZE_MAX = 64 << 20;
    private static final Map<String, String> ASSIGNORS = Map.of("range", "RangeAssignor",
        "roundrobin", "RoundRobinAssignor", "sticky", "StickyAssignor", "cooperative",
        "CooperativeStickyAssignor");
    private static final ObjectMapper JSON = new ObjectMapper();

    private Driver() {}

    private static byte[] bytes(JsonNode node) throws IOException {
        return node == null || node.isNull() ? null : node.binaryValue();
    }

    private static List<Header> headers(JsonNode pairs) throws IOException {
        List<Header> out = new ArrayList<>();
        for (JsonNode pair : pairs)
            out.add(new RecordHeader(pair.get(0).asText(), bytes(pair.get(1))));
        return out;
    }

    private static Map<String, Object> config(JsonNode command, Object... pairs) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", command.get("servers").asText());
        for (int i = 0; i < pairs.length; i += 2)
            config.put((String) pairs[i], pairs[i + 1]);
        return config;
    }

    private static JsonNode produce(JsonNode command) throws Exception {
        String topic = command.get("topic").asText();
        Map<String, Object> config = config(command, "acks", command.path("acks").asText("all"),
            "compression.type", command.path("codec").asText("none"),
            "enable.idempotence", command.path("idempotence").asBoolean(), "linger.ms", 5,
            "max.request.size", SIZE_MAX, "buffer.memory", 2L * SIZE_MAX, "batch.size", 1 << 18,
            "max.block.ms", command.path("wait_ms").asInt(30_000));
        ArrayNode results = JSON.createArrayNode();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config,
                 new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode r : command.get("records"))
                sent.add(producer.send(new ProducerRecord<>(topic,
                    r.has("partition") ? r.get("partition").asInt() : null,
                    r.has("timestamp") ? r.get("timestamp").asLong() : null, bytes(r.get("key")),
                    bytes(r.get("value")), headers(r.path("headers")))));
            producer.flush();
            for (Future<RecordMetadata> future : sent)
                results.add(result(future));
        }
        return JSON.createObjectNode().set("results", results);
    }

    private static ObjectNode result(Future<RecordMetadata> future) throws Exception {
        ObjectNode result = JSON.createObjectNode();
        try {
            RecordMetadata at = future.get();
            return result.put("partition", at.partition()).put("offset", at.offset());
        } catch (ExecutionException e) {
            // Beside one that was refused, it has no code of its own: -1.
            if (!(e.getCause() instanceof KafkaException))
                throw e;
            return result.put("error", Errors.forException(e.getCause()).code());
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(JsonNode command, Object... pairs) {
        Map<String, Object> config = config(command, pairs);
        config.put("enable.auto.commit", false);
        config.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(),
            new ByteArrayDeserializer());
    }

    private static ObjectNode record(ConsumerRecord<byte[], byte[]> r) {
        ObjectNode out = JSON.createObjectNode();
        out.put("partition", r.partition()).put("offset", r.offset());
        out.put("timestamp", r.timestamp()).put("key", r.key()).put("value", r.value());
        ArrayNode headers = out.putArray("headers");
        for (Header header : r.headers())
            headers.addArray().add(header.key()).add(header.value());
        return out;
    }

    private static JsonNode consume(JsonNode command) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode found = answer.putArray("records");
        ArrayNode positions = answer.putArray("positions");
        boolean toEnd = !command.has("count");
        int count = command.path("count").asInt(Integer.MAX_VALUE);
        Map<TopicPartition, Long> from = new HashMap<>();
        for (JsonNode pair : command.get("offsets"))
            from.put(new TopicPartition(command.get("topic").asText(), pair.get(0).asInt()),
                pair.get(1).asLong());
        try (KafkaConsumer<byte[], byte[]> consumer =
                 consumer(command, "max.poll.records", Math.max(count, 1),
                     "max.partition.fetch.bytes", command.path("bytes_max").asInt(1 << 20))) {
            consumer.assign(from.keySet());
            from.forEach(consumer::seek);
            Map<TopicPartition, Long> ends = consumer.endOffsets(from.keySet());
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (found.size() < count && System.nanoTime() < deadline &&
                   !(toEnd && isAt(consumer, ends)))
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200)))
                    if (found.size() < count)
                        found.add(record(r));
            for (TopicPartition part : from.keySet())
                positions.addArray().add(part.partition()).add(consumer.position(part));
        }
        return answer;
    }

    private static boolean isAt(KafkaConsumer<byte[], byte[]> consumer,
                                Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream()
            .allMatch(end -> consumer.position(end.getKey()) == end.getValue());
    }

    private static JsonNode offsets(JsonNode command) {
        TopicPartition where = new TopicPartition(command.get("topic").asText(),
            command.get("partition").asInt());
        ObjectNode answer = JSON.createObjectNode();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(command)) {
            answer.put("begin", consumer.beginningOffsets(List.of(where)).get(where));
            answer.put("end", consumer.endOffsets(List.of(where)).get(where));
            ArrayNode times = answer.putArray("times");
            for (JsonNode time : command.get("times")) {
                OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Map.of(where, time.asLong())).get(where);
                times.add(found == null ? null : found.offset());
            }
        }
        return answer;
    }

    private static void tellAssigned(KafkaConsumer<byte[], byte[]> consumer) throws IOException {
        ArrayNode pairs = JSON.createArrayNode();
        for (TopicPartition part : consumer.assignment())
            pairs.addArray().add(part.topic()).add(part.partition());
        say(JSON.createObjectNode().set("assigned", pairs));
    }

    private static JsonNode member(JsonNode command, BufferedReader lines) throws IOException {
        List<String> topics = new ArrayList<>();
        command.get("topics").forEach(topic -> topics.add(topic.asText()));
        String assignor = ASSIGNORS.get(command.path("assignor").asText("range"));
        KafkaConsumer<byte[], byte[]> made = consumer(command, "session.timeout.ms", 6000,
            "heartbeat.interval.ms", 200, "group.id", command.get("group").asText(),
            "group.instance.id", command.path("instance").asText(null),
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor);
        try (KafkaConsumer<byte[], byte[]> consumer = made) {
            consumer.subscribe(topics);
            Set<TopicPartition> had = null;
            while (!lines.ready()) {
                ConsumerRecords<byte[], byte[]> found = consumer.poll(Duration.ofMillis(100));
                if (!consumer.assignment().equals(had)) {
                    had = new HashSet<>(consumer.assignment());
                    tellAssigned(consumer);
                }
                if (!found.isEmpty())
                    keep(consumer, found);
            }
            lines.readLine();
        }
        return JSON.createObjectNode().put("left", true);
    }

    private static void keep(KafkaConsumer<byte[], byte[]> consumer,
                             ConsumerRecords<byte[], byte[]> found) throws IOException {
        ArrayNode read = JSON.createArrayNode();
        Map<TopicPartition, OffsetAndMetadata> places = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> r : found) {
            read.add(record(r));
            places.put(new TopicPartition(r.topic(), r.partition()),
                new OffsetAndMetadata(r.offset() + 1, "of a member"));
        }
        say(JSON.createObjectNode().set("records", read));
        try {
            consumer.commitSync(places);
        } catch (ApiException e) {
            say(JSON.createObjectNode().put("refused", Errors.forException(e).code()));
        }
    }

    private static JsonNode commit(JsonNode command) {
        Map<TopicPartition, OffsetAndMetadata> places = new HashMap<>();
        for (JsonNode place : command.get("places"))
            places.put(new TopicPartition(command.get("topic").asText(), place.get(0).asInt()),
                new OffsetAndMetadata(place.get(1).asLong(), place.get(2).asText()));
        try (KafkaConsumer<byte[], byte[]> consumer =
                 consumer(command, "group.id", command.get("group").asText())) {
            consumer.commitSync(places);
        }
        return JSON.createObjectNode();
    }

    private static JsonNode committed(JsonNode command) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode places = answer.putArray("offsets");
        String topic = command.get("topic").asText();
        try (KafkaConsumer<byte[], byte[]> consumer =
                 consumer(command, "group.id", command.get("group").asText())) {
            for (JsonNode partition : command.get("partitions")) {
                TopicPartition where = new TopicPartition(topic, partition.asInt());
                OffsetAndMetadata found = consumer.committed(Set.of(where)).get(where);
                places.addArray().add(where.partition())
                    .add(found == null ? null : found.offset())
                    .add(found == null ? "" : found.metadata());
            }
        }
        return answer;
    }

    private static JsonNode administer(JsonNode command) throws Exception {
        String topic = command.path("topic").asText();
        int count = command.path("count").asInt();
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ObjectNode answer = JSON.createObjectNode();
        try (Admin admin = Admin.create(config(command))) {
            switch (command.get("do").asText()) {
                case "create":
                    Map<String, String> configs = new HashMap<>();
                    command.get("configs").fields().forEachRemaining(
                        entry -> configs.put(entry.getKey(), entry.getValue().asText()));
                    admin.createTopics(List.of(new NewTopic(topic, count, (short) 1)
                        .configs(configs))).all().get();
                    break;
                case "grow":
                    admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(count))).all()
                        .get();
                    break;
                case "trim":
                    Map<TopicPartition, RecordsToDelete> places = new HashMap<>();
                    for (JsonNode pair : command.get("offsets"))
                        places.put(new TopicPartition(topic, pair.get(0).asInt()),
                            RecordsToDelete.beforeOffset(pair.get(1).asLong()));
                    admin.deleteRecords(places).all().get();
                    break;
                case "delete":
                    admin.deleteTopics(List.of(topic)).all().get();
                    break;
                case "configs":
                    ObjectNode entries = answer.putObject("configs");
                    admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()
                        .forEach(entry -> entries.put(entry.name(), entry.value()));
                    break;
                case "alter":
                    ConfigEntry entry = new ConfigEntry(command.get("name").asText(),
                        command.get("value").asText());
                    admin.incrementalAlterConfigs(Map.of(resource, List.of(
                        new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
                    break;
                case "topics":
                    ObjectNode counts = answer.putObject("topics");
                    admin.describeTopics(admin.listTopics().names().get()).allTopicNames().get()
                        .forEach((name, about) -> counts.put(name, about.partitions().size()));
                    break;
                case "groups":
                    ArrayNode ids = answer.putArray("groups");
                    admin.listConsumerGroups().all().get()
                        .forEach(group -> ids.add(group.groupId()));
                    break;
                default:
                    throw new IllegalArgumentException(command.toString());
            }
        }
        return answer;
    }

    private static JsonNode answer(JsonNode command, BufferedReader lines)
        throws Exception {
        switch (command.get("do").asText()) {
            case "produce": return produce(command);
            case "consume": return consume(command);
            case "offsets": return offsets(command);
            case "member": return member(command, lines);
            case "commit": return commit(command);
            case "committed": return committed(command);
            default: return administer(command);
        }
    }

    private static void say(JsonNode answer) throws IOException {
        System.out.println(JSON.writeValueAsString(answer));
        System.out.flush();
    }

    /** Answers the commands of standard input, as ../README.md has them. */
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                say(answer(JSON.readTree(line), lines));
            } catch (Exception e) {
                Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
                if (!(cause instanceof ApiException))
                    throw e;
                say(JSON.createObjectNode().put("error", Errors.forException(cause).code())
                        .put("detail", cause.toString()));
            }
        }
        System.exit(0);
    }
}
